#!/usr/bin/env bash
# What the tests use and no index of Python packages has: RabbitMQ and PgBouncer. Installed where we may, without a question and without
# starting a service; elsewhere the tests that need it are skipped, or fail under PERDURE_REQUIRE_SERVERS=1.
set -euo pipefail

[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && [ -x /usr/sbin/pgbouncer ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "servers: installing rabbitmq-server and pgbouncer (apt-get)"
  install() { DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends rabbitmq-server pgbouncer > /dev/null 2>&1 < /dev/null; }
  install || { apt-get update -qq > /dev/null 2>&1 || true; install; } && exit 0
fi
echo "servers: RabbitMQ or PgBouncer is not installed, so their tests are left out (Debian and Ubuntu: apt-get install rabbitmq-server pgbouncer)"
