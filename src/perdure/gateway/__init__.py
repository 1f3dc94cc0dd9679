"""The HTTP edge: who calls, may they, how much, how often; then the routes that services handed in. No decisions of services."""
