"""What columns say of fields: the parts that the adapters on SQLAlchemy share."""
