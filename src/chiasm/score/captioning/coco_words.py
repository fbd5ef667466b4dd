"""How people name COCO's 80 classes: the vocabulary CHAIR looks for in captions when the user gives none.

Our own list. Rates depend on it, so they compare models scored with the same list, not papers.
"""

from __future__ import annotations

import re

_TABLE = """
person: man, woman, boy, girl, child, kid, baby, toddler, infant, lady, guy, people, adult, teenager,
    teen, player, skier, snowboarder, surfer, skateboarder, rider, cyclist, pedestrian, passenger, worker,
    chef, cook, waiter, waitress, officer, policeman, fireman, soldier, driver, pilot, batter, catcher,
    pitcher, umpire, referee, bride, groom, couple, crowd, friend, mother, father, son, daughter, brother,
    sister, husband, wife, male, female, gentleman, student, tourist, spectator, cowboy, biker
bicycle: bike, cycle, unicycle, tricycle, pushbike
car: automobile, sedan, suv, taxi, cab, hatchback, convertible, minivan, van, jeep, police car
motorcycle: motorbike, motor bike, motor cycle, moped, scooter, dirt bike
airplane: plane, aeroplane, air plane, aircraft, jet, airliner, biplane, jetliner
bus: minibus, trolley bus, double decker, school bus
train: locomotive, tram, subway, streetcar
truck: pickup, lorry, fire engine, firetruck, pick up truck
boat: ship, sailboat, canoe, kayak, ferry, yacht, raft, dinghy, speedboat, gondola
traffic light: street light, traffic signal, stop light, stoplight, streetlight
fire hydrant: hydrant
stop sign:
parking meter:
bench: pew
bird: seagull, gull, pigeon, duck, goose, swan, parrot, owl, eagle, hawk, ostrich, penguin, chicken,
    rooster, sparrow, pelican, heron, flamingo, peacock
cat: kitten, kitty, tabby
dog: puppy, pup, doggy, beagle, poodle, dachshund, retriever, terrier, bulldog, pug, collie
horse: pony, foal, colt, stallion, mare
sheep: lamb, ram, ewe
cow: cattle, bull, calf, ox, oxen
elephant:
bear: panda, polar bear
zebra:
giraffe:
backpack: knapsack, rucksack, back pack
umbrella: parasol
handbag: purse, wallet, hand bag
tie: necktie, bow tie, bowtie
suitcase: suit case, luggage, briefcase
frisbee: frisby
skis: ski
snowboard: snow board
sports ball: ball, baseball, basketball, football, soccer ball, tennis ball, volleyball
kite:
baseball bat: bat
baseball glove: mitt, catcher's mitt, baseball mitt
skateboard: skate board
surfboard: surf board, longboard
tennis racket: racket, racquet, tennis racquet
bottle: wine bottle, beer bottle
wine glass: wineglass
cup: mug, coffee cup, teacup
fork:
knife: pocketknife
spoon: teaspoon, tablespoon
bowl: container
banana:
apple:
sandwich: burger, sub, hamburger, cheeseburger, panini
orange:
broccoli:
carrot:
hot dog: hotdog
pizza:
donut: doughnut
cake: cheesecake, cupcake, birthday cake
chair: stool, seat, armchair, recliner
couch: sofa, loveseat, futon
potted plant: houseplant, house plant, pot plant, flower pot
bed: mattress
dining table: table, desk, coffee table
toilet: urinal, commode, lavatory, toilet seat
tv: television, monitor, tv set, flat screen
laptop: laptop computer, notebook computer, computer
mouse: computer mouse
remote: remote control, remote controller
keyboard:
cell phone: cellphone, mobile phone, phone, smartphone, telephone, iphone
microwave: microwave oven
oven: stove, stovetop, stove top oven
toaster: toaster oven
sink: washbasin
refrigerator: fridge, freezer
book:
clock: alarm clock
vase:
scissors:
teddy bear: teddy, stuffed bear
hair drier: hair dryer, hairdryer, blow dryer
toothbrush: tooth brush
"""

COCO_WORDS: dict[str, tuple[str, ...]] = {}
"""COCO's class names, each with what else it is called."""
for _name, _words in re.findall(r"(?m)^(\S[^:]*):((?:.*\n)(?:[ ].*\n)*)", _TABLE):
    COCO_WORDS[_name] = tuple(word.strip() for word in _words.split(",") if word.strip())

ANIMALS = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "animal", "cub")
VEHICLES = ("jet", "train")
NOT_OBJECTS = ("home plate", "train track")
"""Phrases that hold the name of a class without naming an object of it."""
