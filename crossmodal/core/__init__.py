"""What every other package stands on: types, errors, settings, protocols."""
