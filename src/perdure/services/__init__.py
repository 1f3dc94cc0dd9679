"""What the platform does, one folder a service, all of one shape; they meet through events only."""
