"""factory_boy factories whose objects are stored by Piccolo ORM."""

from async_factory_boy_piccolo.adapter import PiccoloAdapter
from async_factory_boy_piccolo.factory import AsyncPiccoloTableFactory

__all__ = ["AsyncPiccoloTableFactory", "PiccoloAdapter"]
