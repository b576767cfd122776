"""State, parameters and messages that are mutable inside."""

from typing import Any

from planted_words import Pong

from engines.model import Arrived, Config, Effects, Family, Map, Message, Value, rule


class Basket(Value):
    items: list[str]  # D: Basket.items: list is mutable; use tuple[T, ...]


class Shop(Value):
    baskets: Map[str, Basket] = Map()


class Prices(Config):
    by_item: dict[str, int]  # D: Prices.by_item: dict is mutable; use Map[K, V]


class Buy(Message):
    what: Any  # D: Buy.what: Any is not a type of values; name the type


@rule
def buy(buy: Buy, t: Arrived[Buy, Prices, Shop]) -> Effects[Shop, Pong]:
    return []


FAMILY = Family("mutable_fields", accepts=Buy, emits=Pong, config=Prices, state=Shop()).rules(buy)
