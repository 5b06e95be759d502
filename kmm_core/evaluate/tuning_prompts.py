"""The sentences that settings are tuned on: guidance, steps, captions. Never report on them."""

RAISE_HAND = """
the {side} arm goes up
someone puts up their {side} hand
a woman lifts her {side} arm above her head
he is raising his {side} arm into the air
raise your {side} hand
with the {side} hand held high, a person stands there
a man raised his {side} arm and put it down again
she lifts up her {side} hand and then lowers it
their {side} hand rises up over the head
the figure lifts the {side} hand up to the sky
a guy sticks his {side} hand up in the air
the performer slowly brings the {side} arm up
lift the {side} arm up high
a student raises a {side} hand to ask something
the person is lifting their {side} arm upward
one arm is raised, the {side} one
a character throws the {side} hand up
using the {side} arm, someone reaches up above their head
an actor raises the {side} arm to the side
it is the {side} arm that the man raises
the girl has put her {side} hand in the air
from a standing pose, the {side} hand is lifted overhead
a human lifts a {side} arm and lets it drop
hold up the {side} hand
the boy quickly raises his {side} hand
a person's {side} arm comes up to the front and goes back down
this person lifts only the {side} hand
standing in place, she raises the {side} arm
the {side} hand of the woman is raised
someone extends the {side} arm up toward the ceiling
a man holds his {side} arm up
she was raising her {side} hand
"""
WAVE = """
a man waves hello using his {side} hand
wave with your {side} hand
the woman is waving her {side} arm
someone gives a wave of the {side} hand
he waved to a friend with the {side} hand
a person greets somebody, waving the {side} hand
the {side} hand waves back and forth
she waves the {side} arm from side to side
with the {side} hand, the figure waves goodbye
a character lifts the {side} hand and waves
the guy does a friendly wave, {side} hand up
they are waving goodbye with their {side} hand
the performer swings the raised {side} hand to and fro
waving the {side} hand, someone says hi
a girl keeps waving with her {side} arm
the {side} arm is waved in the air
it is a {side} hand wave
a human waves at the crowd with the {side} arm
this boy waves his {side} hand to say hello
he waves for attention using the {side} arm
"""
RAISE_LEG = """
the {side} leg goes up and comes down
someone raises their {side} leg in front of them
a woman lifts her {side} leg off the ground
he is lifting his {side} leg
raise your {side} leg
a man raised the {side} leg and put it back
she lifts the {side} foot up high
the figure lifts the {side} knee up
balancing, a person lifts the {side} leg forward
the performer slowly raises the straight {side} leg
lift up the {side} knee
their {side} leg is raised to the front
a guy brings the {side} knee up to his waist
the {side} leg of the woman is lifted
this person raises only the {side} leg
an actor does a {side} leg raise
with both arms up, someone lifts the {side} leg
the girl was raising her {side} leg
a human holds the {side} leg up for a moment
the character picks up the {side} foot and sets it down
"""
TURN = """
someone makes a {side} turn
a man walks ahead and then turns to the {side}
she is turning {side}
turn to the {side}
he turned {side} while walking
walking forward, the person takes a {side} turn
the figure walks and curves to the {side}
a woman goes forward, then heads {side}
they walk in an arc to the {side}
the character rounds a corner to the {side}
a guy walks along and makes a turn to his {side}
the performer turns toward the {side} side
veer {side} as you walk
a human strolls and bends off to the {side}
with a few steps, someone turns to face {side}
this person walks, turning {side} on the way
to the {side} she turns
an actor changes direction to the {side}
the girl walks forward and swings round to the {side}
after a few steps the man goes {side}
walk straight and then turn {side}
he veers off to the {side}
the boy is walking in a curve toward the {side}
a person paces forward and rotates {side}
they take a {side}-hand turn
someone strides ahead before making a turn {side}
the walker turns ninety degrees to the {side}
a lady goes for a walk and turns {side}
"""

# By judge; see ``prompt_sets``.
ACTIONS = {
    "walks forward": """
someone takes a stroll
a man is strolling straight ahead
the woman goes forward on foot at an easy pace
a person ambles along
he paces forward with relaxed steps
this guy wanders forward slowly
a tired man trudges on
""",
    "runs": """
someone sprints ahead
a man is jogging along
the woman dashes forward
she goes for a run
a person hurries forward at a run
the athlete runs fast
a guy was jogging at a steady pace
""",
    "runs in a curve": """
somebody jogs around in a circle
a man runs along a curved path
she is jogging in a ring
""",
    "walks backward": """
someone steps backwards several times
the man is backing away
a woman walks in reverse
he retreats backward slowly
they move back step by step
""",
    "side-steps": """
someone shuffles sideways
a man moves to the side with side steps
the woman is stepping laterally
he walks sideways like a crab
""",
    "turns either way": """
someone walks and makes a turn
a man turns while he walks
the woman changes her walking direction
he goes around a bend
they turn a corner on foot
""",
    "jumps": """
someone leaps into the air
a man is hopping forward with his feet together
the woman does a big jump
a kid bounces forward once on both feet
she takes a leap forward
""",
    "raises both arms": """
someone puts both hands up in the air
a man lifts his two arms overhead
the woman is raising both of her hands
hands go up above the head
she brings her arms up on both sides
""",
    "raises an arm": """
someone lifts a hand up high
a man sticks one arm up
the woman reaches for something overhead
he stretches an arm upward
""",
    "waves either hand": """
someone says goodbye with a wave
a man waves to greet a friend
the woman is waving both her hands
he gives a cheerful wave
they wave to somebody far away
""",
    "bows": """
someone takes a polite bow
a man is bowing in greeting
the woman bends forward to bow respectfully
he bowed deeply
she makes a small bow
""",
    "kicks": """
someone delivers a front kick
a man is kicking a ball
the woman swings her foot in a kick
he kicks out in front of him
they do a karate kick
""",
    "punches": """
someone throws a punch
a man is boxing
the woman jabs with her fists
a fighter lands some punches
she punches the air
""",
    "squats": """
someone sinks into a squat and comes up
a man is doing squats
the woman squats deeply once
he crouches all the way down and rises
she squatted with her arms forward
""",
    "lunges": """
someone does a forward lunge
a man sinks down in a lunge
the woman is doing a lunge to the side
he drops into a split stance lunge
she lunges and pushes herself up
""",
    "sits": """
someone takes a seat
a man is sitting on a chair
the woman lowers herself to sit
he sat down as if on a stool
""",
    "throws": """
someone tosses a ball with both hands
a man is shooting a basketball
the woman hurls something forward
""",
    "by eye: dances": """
someone is dancing around
a man shows off salsa moves
the woman performs a dance
they groove to the music
""",
    "stands still": """
someone just stands there
a man is standing in one spot without moving
the woman waits quietly on her feet
he remains motionless
""",
    "bends down": """
someone stoops to pick something up
a man is picking an object off the floor
the woman bends over and puts a thing on the ground
he reaches down to the floor
""",
    "raises a leg": """
someone does a leg raise
a man stands on one leg, lifting the other
the woman brings one knee up high
he lifts a leg straight out in front
""",
    "lies down": """
someone gets onto the floor and lies flat
a man lays himself down on the ground
""",
}

# How high, by the judge that looks at it.
ARMS = {
    "raises high": """
a man gets his {side} arm up above the head
somebody stretches the {side} hand way up high
the {side} arm is lifted right over the head
she points the {side} hand at the ceiling
""",
    "raises to the shoulder": """
a man gets his {side} hand up to shoulder level
somebody lifts the {side} arm up to the shoulders only
the {side} arm is raised, but no higher than the shoulder
she holds the {side} hand at the level of the shoulder
""",
    "punches with one hand": """
a boxer hits with the {side} fist only
somebody punches straight out with the {side} arm
she jabs using her {side} hand
a quick {side} punch
""",
}

# Two actions in one sentence, as in ``report_prompts``.
TOGETHER = """
someone strolls ahead, then puts the {side} hand up | walks forward | raises hand {side}
a woman does a squat and then gives a wave with the {side} hand | squats | waves {side}
he hops up, and after that rotates to the {side} | jumps | turns {side}
a guy takes a bow, then raises his {side} leg | bows | raises leg {side}
make a {side} turn and then throw a kick | turns {side} | kicks
she waves her {side} arm and then takes a seat | waves {side} | sits
put the {side} arm up and down, then jump | raises hand {side} | jumps
a man stoops to the ground, afterwards he lifts the {side} arm | bends down | raises hand {side}
lifting the {side} leg, then walking on | raises leg {side} | walks forward
the person goes backwards, then waves using the {side} hand | walks backward | waves {side}
a person turns around to the {side} and then crouches low | turns {side} | squats
both hands go up, then she turns to her {side} | raises both arms | turns {side}
"""

# Two actions at once.
STOPS = """
somebody walks along and then halts
a man walks a few paces and stops
walking ahead, then coming to a stop
the girl goes for a walk and then stays still
stroll forward and halt
a figure walks, then stops moving
he steps forward, walks and then stops
they walk and come to a halt
"""

AT_ONCE = """
someone is walking ahead while waving with the {side} arm | walks forward | waves {side}
a woman walks on and lifts her {side} hand at the same time | walks forward | raises hand {side}
go forward while raising the {side} arm | walks forward | raises hand {side}
he wanders forward and waves the {side} hand | walks forward | waves {side}
a guy steps backwards while lifting the {side} hand | walks backward | raises hand {side}
strolling along while sticking the {side} arm up | walks forward | raises hand {side}
the character keeps walking, waving its {side} hand | walks forward | waves {side}
the performer walks forward and puts up the {side} arm meanwhile | walks forward | raises hand {side}
"""

# Slowly and quickly.
PACED = """
someone {pace} makes progress along the path | walks forward
a guy walks in reverse {pace} | walks backward
the girl steps {pace} to the side | side-steps
the woman makes a turn {pace} | turns either way
he {pace} gets one arm up | raises an arm
they {pace} give a wave to the crowd | waves either hand
a girl {pace} bends into a bow | bows
someone lands a kick on the bag {pace} | kicks
a man {pace} takes his seat | sits
the woman crouches {pace} and rises | squats
he {pace} reaches down to the floor | bends down
someone {pace} lifts one of the legs | raises a leg
"""

# Down, and in a prompt of its own up again.
UP_AGAIN = """
someone plops onto a chair | sits | someone stands up from the chair
a guy sits down on the sofa | sits | a guy gets up from the sofa
the woman takes her seat | sits | the woman stands up
someone goes to lie on the floor | lies down | someone stands back up
a guy lies down for a nap | lies down | a guy gets up again
the woman lies on the ground | lies down | the woman rises from the ground
"""

# What nothing recorded is like.
UNFAMILIAR = """
clap your hands
a person claps
swims in a pool
plays the guitar
a man plays the piano
juggles three balls
types on a keyboard
drives a car
crawls on hands and knees
does push-ups
does sit-ups
a person does jumping jacks
swings a golf club
plays tennis
shoots an arrow with a bow
rides a horse
limps along
shakes hands with somebody
hugs a friend
nods the head
shakes his head no
smokes a cigarette
talks on the phone
reads a book
salutes
prays on his knees
skips rope
does the moonwalk
a backflip
handstand
lifts a heavy box
pushes a shopping cart
opens a door
eats soup with a spoon
brushes his teeth
combs her hair
vacuum cleans the carpet
shovels snow
chops wood
fires a rifle
sleeps in a bed
cries
trips and falls over
gets hit in the stomach and collapses
catches a ball
points at the sky
scratches his head
crosses the arms
puts the hands on the hips
shrugs
blows a kiss
takes a selfie
flies like superman
breakdance
does a headspin
roller skating
ice skating
surfing
paddles a canoe
rows a boat
digs a hole
hammers a nail
paints a wall
pulls a rope
carries a baby
walks a dog
a knight fights a dragon
quantum physics
asdf qwer zxcv
"""
