"""The settings of Django that the tests run with."""

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "tests.shop",
]
# The server is filled in by conftest.py.
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
    "postgresql": {"ENGINE": "django.db.backends.postgresql", "NAME": ""},
    # Another connection to the same, which sends values apart from statements.
    "postgresql2": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "",
        "OPTIONS": {"server_side_binding": True},
        "TEST": {"MIRROR": "postgresql"},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
USE_TZ = True
