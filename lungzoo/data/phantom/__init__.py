"""The chest of the phantom: anatomy, lungs and nodules on a grid, in HU."""
