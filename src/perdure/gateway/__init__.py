"""The HTTP edge: authentication, limits, problems, streams, health. It knows no service; wiring hands it their routers."""
