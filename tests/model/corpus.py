#!/usr/bin/env python3
"""Write corpus.txt, the text the demo model learns.

The text is about an invented harbour town, Saltmere.  A few people, places and facts stay the same
throughout, so that a very small model can learn them; the order of sentences and the small events vary.
Documents are paragraphs; one empty line stands between two documents.

    python3 corpus.py > corpus.txt

The output depends on nothing but this file: the random numbers come from the generator below.
"""
import sys


class Dice:
    """A 64-bit linear congruential generator; the high bits choose."""

    def __init__(self, seed):
        self.s = seed

    def below(self, n):
        self.s = (self.s * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.s >> 33) % n

    def pick(self, seq):
        return seq[self.below(len(seq))]

    def shuffled(self, seq):
        out = list(seq)
        for i in range(len(out) - 1, 0, -1):
            j = self.below(i + 1)
            out[i], out[j] = out[j], out[i]
        return out


CAPITALS = [
    ("France", "Paris", "the Seine"), ("Italy", "Rome", "the Tiber"), ("Spain", "Madrid", None),
    ("Portugal", "Lisbon", None), ("Norway", "Oslo", None), ("Greece", "Athens", None),
    ("Austria", "Vienna", "the Danube"), ("Japan", "Tokyo", None), ("Egypt", "Cairo", "the Nile"),
    ("Poland", "Warsaw", None),
]

# name, pronoun, possessive, trade sentence, place, companion, habit
PEOPLE = [
    ("Mara", "she", "her", "keeps the lighthouse", "the lighthouse", "a grey cat called Pepper",
     "counts the ships before breakfast"),
    ("Tom", "he", "his", "bakes the bread", "the bakery", "an old dog called Biscuit",
     "opens the door before the sun is up"),
    ("Anna", "she", "her", "mends the nets", "the net loft", "a young gull with one white foot",
     "sings while she works"),
    ("Old Ben", "he", "his", "rows the ferry", "the ferry steps", "a brown duck called Admiral",
     "knows every stone in the bay"),
    ("Lucy", "she", "her", "teaches the children", "the school", "a tortoise called Noon",
     "carries chalk in her pocket"),
    ("Hugo", "he", "his", "builds the boats", "the boatyard", "a goat called Anchor",
     "measures everything twice"),
    ("Nell", "she", "her", "runs the Café Lumen", "the Café Lumen", "a parrot called Captain",
     "remembers what everyone drinks"),
    ("Peter", "he", "his", "brings the letters", "the post office", "a small horse called Stamp",
     "walks up the hill and down again"),
]

PLACES = [
    ("The lighthouse", "stands on the last rock of the bay", "It has ninety steps and one green door.",
     "At night its lamp can be seen from twelve miles away."),
    ("The bakery", "is next to the old well", "Its oven is never cold.",
     "In the morning the whole street smells of warm bread."),
    ("The school", "has two rooms and a bell", "The big room looks over the water.",
     "When the bell rings, the gulls fly up from the roof."),
    ("The boatyard", "lies behind the long wall", "There is always one boat on the slip.",
     "The ground is soft with wood shavings."),
    ("The Café Lumen", "is on the corner of the market square", "It has seven tables and a blue clock.",
     "The clock is always five minutes slow."),
    ("The ferry", "crosses the bay six times a day", "It can carry ten people and one sheep.",
     "When the fog comes in, the ferry waits."),
    ("The market", "is held on Saturday", "There are apples, fish, honey and wool.",
     "By noon the best apples are gone."),
    ("The harbour wall", "is made of grey stone", "It is older than the town.",
     "Children sit on it and wait for the fishing boats."),
]

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

WEATHER = [
    ("the wind came from the north", "The sea was rough and the boats stayed in the harbour."),
    ("the fog lay over the bay", "Nobody could see the end of the harbour wall."),
    ("the sun was bright", "The water was as flat as a plate."),
    ("it rained from morning to night", "The streets of Saltmere shone like fish."),
    ("the first snow fell", "The roofs were white and the children laughed."),
]

LOST = [
    ("the key of the boathouse", "under a basket of apples"),
    ("a silver button", "in the pocket of an old coat"),
    ("the map of the bay", "behind the blue clock"),
    ("a red kite", "on the roof of the school"),
    ("the little brass bell", "at the bottom of the well"),
    ("a letter from the north", "between two loaves of bread"),
]

FOOD = ["fish soup", "warm bread", "apple cake", "bean stew", "honey cake"]
ADVICE = [
    "A slow boat still comes home.", "Count the stars and then count the clouds.",
    "Measure twice and cut once.", "The sea is never in a hurry.", "A good knot is easy to untie.",
    "Ask the gulls where the fish are.",
]

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def cap(s):
    return s[0].upper() + s[1:]


def capitals(d):
    """The lesson about capitals, in Lucy's school or on its own."""
    out = []
    rows = d.shuffled(CAPITALS)[: 4 + d.below(3)]
    if not any(r[0] == "France" for r in rows):
        rows[0] = CAPITALS[0]
    if d.below(2):
        out.append("Lucy wrote the names of the countries on the board.")
    for country, city, river in rows:
        out.append(f"The capital of {country} is {city}.")
        if river and d.below(2):
            out.append(f"The river in {city} is called {river}.")
    out.append(d.pick(["The children said the names again.", "Then the bell rang and the lesson was over.",
                       "Saltmere is not the capital of anything, but it has a good harbour."]))
    return " ".join(out)


def quiz(d):
    out = []
    for country, city, _ in d.shuffled(CAPITALS)[:3]:
        out.append(f"\"What is the capital of {country}?\" asked Lucy. "
                   f"\"The capital of {country} is {city},\" said {d.pick(['Tom', 'Anna', 'Peter', 'the boy by the window'])}.")
    out.append("\"That's right,\" said Lucy, and she smiled.")
    return " ".join(out)


def portrait(d, who):
    name, he, his, trade, place, pet, habit = who
    out = [f"{name} {trade} in Saltmere.",
           f"Every day {he} goes to {place}.",
           f"{cap(he)} has {pet}.",
           f"{name} {habit}."]
    out.append(d.pick([f"In the evening {he} likes to eat {d.pick(FOOD)}.",
                       f"On {d.pick(DAYS)} {he} visits a friend.",
                       f"People say that {name} is never late."]))
    out.append(f"\"{d.pick(ADVICE)[:-1]},\" {he} often says.")
    return " ".join(out)


def place(d, p):
    name, where, first, second = p
    out = [f"{name} of Saltmere {where}." if name != "The Café Lumen" else f"{name} {where}.", first, second]
    if d.below(2):
        out.append(f"Visitors come to see it on {d.pick(DAYS)}.")
    out.append("Saltmere is a small town by the sea.")
    return " ".join(out)


def search(d):
    a, b = d.shuffled(PEOPLE)[:2]
    thing, where = d.pick(LOST)
    day = d.pick(DAYS)
    sky, then = d.pick(WEATHER)
    out = [f"On {day} {sky}. {then}",
           f"{a[0]} went to {a[4]} and looked worried.",
           f"\"I have lost {thing},\" {a[1]} said.",
           f"\"Don't worry,\" said {b[0]}. \"We'll look for it together.\"",
           f"They looked in {a[4]}, but it wasn't there." if not a[4].startswith("the ferry") else
           "They looked on the ferry steps, but it wasn't there.",
           f"They looked in {b[4]}, but it wasn't there." if not b[4].startswith("the ferry") else
           "They looked on the ferry steps, but it wasn't there.",
           f"At last {b[0]} found it {where}.",
           f"{a[0]} was so happy that {a[1]} gave {b[0]} {d.pick(FOOD)}."]
    return " ".join(out)


def storm(d):
    a, b = d.shuffled(PEOPLE)[:2]
    n = d.below(8) + 2
    out = ["One night a storm came to Saltmere.",
           "The waves were higher than the harbour wall.",
           f"{NUMBERS[n].capitalize()} boats were still at sea.",
           "Mara lit the lamp of the lighthouse and didn't sleep." if d.below(2) else
           "Mara kept the lamp of the lighthouse burning all night.",
           f"{a[0]} and {b[0]} stood on the harbour wall and waited." if "Mara" not in (a[0], b[0]) else
           "The people of the town stood on the harbour wall and waited.",
           f"In the morning all {NUMBERS[n]} boats came home.",
           "Tom brought warm bread for everyone.",
           f"\"{d.pick(ADVICE)[:-1]},\" said Old Ben."]
    return " ".join(out)


def market(d):
    a = d.pick([p for p in PEOPLE if p[0] != "Nell"])
    n = d.below(9) + 2
    thing = d.pick(["apples", "eggs", "candles", "buttons", "small fish"])
    out = [f"On Saturday {a[0]} went to the market.",
           f"{cap(a[1])} bought {NUMBERS[n]} {thing} and a jar of honey.",
           f"The honey cost {d.below(7) + 2} coins and the {thing} cost {d.below(7) + 2} coins.",
           f"After that {a[1]} sat down in the Café Lumen.",
           f"Nell brought a cup of tea and a piece of {d.pick(['apple cake', 'honey cake'])}.",
           "\"How is the sea today?\" asked Nell.",
           f"\"{d.pick(['It is quiet', 'It is loud', 'It is green', 'It is cold'])},\" said {a[0]}.",
           f"When the blue clock showed {NUMBERS[d.below(4)]}, {a[0]} walked home."]
    return " ".join(out)


def pet(d, who):
    name, he, his, trade, place_, animal, habit = who
    end = d.pick(["slept in the sun", "looked at the sea", "ate a piece of bread", "followed the children"])
    if " called " in animal:
        kind, call = animal.split(" called ")
        out = [f"{name} has {animal}.", f"{call} is {kind}, and everyone in Saltmere knows {call}."]
    else:
        call = "the gull"
        out = [f"{name} has {animal}.", "The gull has no name, but everyone in Saltmere knows it."]
    out += [f"One day {call} was not at {place_}.",
            f"{name} asked at the bakery and at the school.",
            f"\"I saw {call} on the harbour wall,\" said {d.pick([p[0] for p in PEOPLE if p[0] != name])}.",
            f"And there was {call}. {cap(call)} {end}.",
            f"{name} laughed and they went home together."]
    return " ".join(out)


def main():
    d = Dice(20240607)
    docs = []
    for rep in range(11):
        for who in PEOPLE:
            if rep < 7:
                docs.append(portrait(d, who))
            if rep % 4 == 0:
                docs.append(pet(d, who))
        for p in PLACES:
            if rep % 3 == 0:
                docs.append(place(d, p))
        for _ in range(3):
            docs.append(capitals(d))
        docs.append(quiz(d))
        for _ in range(2):
            docs.append(search(d))
        docs.append(storm(d))
        docs.append(market(d))
    docs = d.shuffled(docs)
    sys.stdout.buffer.write(("\n\n".join(docs) + "\n").encode("utf-8"))


if __name__ == "__main__":
    main()
