"""The parts of `async_factory_boy.adapters.beanie`."""
