"""placeholder until the fast one is merged"""
import factory
def value_of(provider, locale, parameters):
    return factory.Faker._get_faker(locale).format(provider, **parameters)
