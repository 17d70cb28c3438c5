"""Queries of two languages with passages of which one answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    language: str
    query: str
    passages: list[str]
    #: The place of the passage that answers.
    best: int

    def __str__(self) -> str:
        return self.language


QUESTIONS = [
    Question(
        "english",
        "how do heat pumps work in cold weather",
        [
            "Bananas are picked green and ripen on the ship.",
            "In cold weather many people prefer hot soup.",
            "A water pump lifts groundwater to the surface with a piston or a propeller.",
            "Even in cold weather a heat pump draws heat from the outdoor air: the refrigerant is colder "
            "than the air, so it evaporates, and a compressor raises its temperature for the house.",
            "Heating costs rose by a tenth last winter.",
        ],
        3,
    ),
    Question(
        "german",
        "wie funktioniert eine Wärmepumpe im Winter",
        [
            "Bananen werden grün geerntet und reifen auf dem Schiff.",
            "Im Winter essen viele Menschen lieber eine heiße Suppe.",
            "Eine Wärmepumpe funktioniert auch im Winter: Das Kältemittel ist kälter als die Außenluft, "
            "nimmt deren Wärme auf und wird verdichtet, bis es das Haus heizt.",
            "Die Heizkosten stiegen um ein Zehntel.",
            "Der Zug nach Hamburg fährt um zehn Uhr ab.",
        ],
        2,
    ),
]

ENGLISH = QUESTIONS[0]

#: A passage of about 1,200 tokens, in words of the query: what is over the limit of the model.
LONG = "Heat pumps work in cold weather. " * 170
