"""The parts of `async_factory_boy.isolation.tortoise`."""
