"""The routes, by area. Each module makes its operations from what they stand on."""
