"""The sentences that results are reported on; nobody looked at how a model acts them before its settings were fixed."""

RAISE_HAND = """
a person puts the {side} hand up
the man's {side} arm is lifted overhead
lift your {side} arm
somebody reaches upward using the {side} hand
she raises her {side} arm straight up
he lifted his {side} hand and lowered it again
a woman is lifting the {side} hand over her head
the {side} arm rises slowly
a girl holds up her {side} arm
raise the {side} arm all the way
the person puts up the {side} arm and takes it down
a boy has his {side} hand up in the air
hold the {side} arm up high
with only the {side} arm raised, she stands still
an actor lifts up his {side} arm
they raise a {side} hand
a human stretches the {side} hand up to the sky
the {side} hand comes up above the head
standing upright, he raises his {side} arm sideways
this man is sticking up his {side} hand
the lady brings her {side} arm up high
someone slowly lifts the {side} hand
a dancer raises the {side} arm
a worker reaches for the ceiling with the {side} arm
he raises just the {side} hand
a pupil puts the {side} arm up
bring up your {side} hand
the performer's {side} arm moves up and then down
the character is holding the {side} arm high
a guy reaches above his head with his {side} hand
she raised the {side} hand quickly
the {side} arm is the one that he lifts
"""
WAVE = """
a person waves the {side} hand
she waves hi with the {side} hand
the man is waving with his {side} hand
wave your {side} arm
somebody waves goodbye using the {side} hand
a boy waved his {side} hand at them
the {side} hand is waving
a woman raises the {side} hand to wave
he waves hello with the {side} arm
the character gives a {side}-handed wave
greeting someone, he waves the {side} hand
a performer waves the {side} hand high in the air
they wave to a neighbour with the {side} hand
the girl is waving the {side} hand back and forth
waving goodbye with the {side} hand
an actor keeps his {side} hand up and waves it
with the {side} arm, a human waves
a lady waves her {side} hand happily
the {side} hand swings to and fro in a wave
this guy waves over a friend with his {side} hand
"""
RAISE_LEG = """
a person raises the {side} knee
she lifts her {side} foot off the floor
the man is raising his {side} leg
lift your {side} leg
somebody lifts the {side} leg to the front
he raised his {side} foot and lowered it
a woman brings her {side} knee up
the {side} knee comes up and goes down
the character raises the {side} leg high
a girl lifts up her {side} leg
an actor holds the {side} foot off the ground
raise the {side} foot
they lift the {side} leg straight forward
a human raises the {side} knee to hip height
the boy is lifting the {side} knee
the lady puts her {side} leg up
standing, he lifts just the {side} leg
a performer lifts the {side} foot slowly
this guy raises his {side} leg in front of his body
a dancer picks up the {side} leg
"""
TURN = """
a person turns {side}
the man makes a turn to the {side}
she walks and then turns {side}
turn {side} while walking
somebody turns around to the {side}
he is turning to his {side}
a woman walks in a curve to the {side}
the figure takes a turn to the {side}
walk forward and then veer {side}
a girl goes around a bend to the {side}
they walked on and turned {side}
an actor strolls and turns off to the {side}
the walker curves {side}
a human turns to the {side} and walks on
this guy moves ahead, then makes a {side} turn
after walking a bit, she turns to the {side}
the boy heads off to the {side}
the character turns toward its {side}
walking along, a lady bears {side}
a man steps forward and rotates to the {side}
go straight, then curve to the {side}
the performer walks in a {side}ward arc
a person swings around to the {side}
he walks ahead, turning {side} at the end
someone rounds the corner, going {side}
the woman paces and turns {side}
a pedestrian makes a {side}-hand turn
the person changes course toward the {side}
"""

# By judge; see ``prompt_sets``.
ACTIONS = {
    "walks forward": """
a person strolls forward
the man keeps walking ahead
she walks along calmly
somebody is taking a walk
a woman marches forward
he moves ahead on foot
the girl saunters along
""",
    "runs": """
a person is running
the man jogs forward
she sprints as fast as she can
somebody runs straight ahead
a woman is out jogging
he races forward
the boy runs quickly
""",
    "runs in a curve": """
a person runs around in a curve
the woman jogs in circles
he is running along a bend
""",
    "walks backward": """
a person walks backwards
the man steps back a few paces
she is moving backward
somebody backs up slowly
a woman takes several steps to the rear
""",
    "side-steps": """
a person sidesteps
the man is walking sideways
she steps to the side a few times
somebody moves laterally
""",
    "turns either way": """
a person turns while walking
the man is walking around a curve
she walks and then changes direction
somebody takes a turn
a woman walks along a bend
""",
    "jumps": """
a person jumps up
the man hops into the air
she is jumping forward
somebody does a leap
a woman jumps with both feet
""",
    "raises both arms": """
a person raises both arms
the man puts his hands up
she holds both of her arms over her head
somebody lifts both hands high
a woman stretches the two arms upward
""",
    "raises an arm": """
a person raises one hand
the man lifts an arm into the air
she is reaching up with a hand
somebody puts an arm up
""",
    "waves either hand": """
a person waves
the man waves hello
she is waving goodbye
somebody greets a friend with a wave
a woman waves her hand
""",
    "bows": """
a person bows
the man makes a polite bow
she is bowing to the audience
somebody bows down in thanks
a woman gives a deep bow
""",
    "kicks": """
a person kicks
the man does a high kick
she is kicking something in front of her
somebody kicks a football
a woman throws a kick
""",
    "punches": """
a person punches
the man throws several punches
she is shadow boxing
somebody punches straight ahead
a woman hits with her fist
""",
    "squats": """
a person squats down
the man does a deep squat
she is squatting and rising again
somebody lowers into a squat
a woman performs knee bends
""",
    "lunges": """
a person does a lunge
the man lunges forward
she is performing lunges
somebody takes a big step into a lunge
a woman sinks into a side lunge
""",
    "sits": """
a person sits down
the man takes a seat on a chair
she is sitting down
somebody sits on a stool
""",
    "throws": """
a person throws a ball
the man is throwing something
she tosses an object away
""",
    "by eye: dances": """
a person dances
the man is dancing to a song
she does some dance moves
somebody dances salsa
""",
    "stands still": """
a person stands still
the man does not move
she is standing quietly
somebody waits in place
""",
    "bends down": """
a person bends down
the man picks something up from the ground
she is leaning down to grab a box
somebody stoops low
""",
    "raises a leg": """
a person lifts one leg
the man raises a knee
she stands and holds up a foot
somebody lifts a leg to the front
""",
    "lies down": """
a person lies down
the man is lying down on the floor
""",
}

# How high, by the judge that looks at it.
ARMS = {
    "raises high": """
a person stretches the {side} arm up over the head
the man puts his {side} hand far above his head
she holds the {side} arm up as high as she can
somebody lifts the {side} hand to the ceiling
""",
    "raises to the shoulder": """
a person lifts the {side} hand as high as the shoulder
the man raises his {side} arm to shoulder level
she brings the {side} arm up, no higher than her shoulder
somebody raises the {side} arm only to the shoulder
""",
    "punches with one hand": """
a person throws a punch using only the {side} fist
the man hits out with his {side} hand
she gives a hard {side} jab
punch ahead with your {side} fist
""",
}

# Two actions in one sentence, and the judges of the first and of the second.
TOGETHER = """
a person walks a few steps and then raises the {side} arm | walks forward | raises hand {side}
the man squats, then waves with his {side} hand | squats | waves {side}
she jumps once and then turns to the {side} | jumps | turns {side}
somebody bows and after that lifts the {side} leg | bows | raises leg {side}
turn to the {side}, then kick | turns {side} | kicks
wave the {side} hand, then sit down | waves {side} | sits
a woman lifts the {side} arm, lowers it and then jumps | raises hand {side} | jumps
he picks something up from the floor, then puts up the {side} hand | bends down | raises hand {side}
raise the {side} knee, then walk ahead | raises leg {side} | walks forward
someone walks backward and then waves the {side} hand | walks backward | waves {side}
a figure turns {side} before squatting down | turns {side} | squats
the man throws both arms up, then turns {side} | raises both arms | turns {side}
"""

# A walk that ends.
STOPS = """
a person walks ahead and then stops
the man strolls forward, then comes to a stop
she walks a little and stops
walk on, then halt
someone goes forward and then stands still
he walks up and comes to a standstill
a woman is walking, then she stops and waits
walk straight on and stop
"""

# Two actions at once.
AT_ONCE = """
a person walks forward while waving the {side} hand | walks forward | waves {side}
the man walks along and raises his {side} arm at the same time | walks forward | raises hand {side}
walk straight ahead while lifting the {side} hand | walks forward | raises hand {side}
she strolls forward and waves her {side} hand | walks forward | waves {side}
somebody walks backward while putting the {side} arm up | walks backward | raises hand {side}
walking ahead while reaching up with the {side} hand | walks forward | raises hand {side}
a figure takes steps forward, waving with the {side} arm | walks forward | waves {side}
he goes ahead on foot and holds up the {side} hand meanwhile | walks forward | raises hand {side}
"""

# Slowly and quickly.
PACED = """
the man {pace} strolls ahead | walks forward
she {pace} steps backward down the hall | walks backward
he takes side steps {pace} | side-steps
somebody turns round {pace} | turns either way
a woman {pace} puts up an arm | raises an arm
she {pace} waves at him | waves either hand
somebody takes a deep bow {pace} | bows
he gives a kick {pace} | kicks
a person {pace} sinks onto a chair | sits
a man goes into a squat {pace} and gets up | squats
she {pace} leans down to the ground | bends down
he {pace} raises one knee | raises a leg
"""

# Down, and in a prompt of its own up again.
UP_AGAIN = """
a person takes a seat on the bench | sits | the person stands up from the bench
the man sits himself down | sits | the man rises to his feet again
she is lowering herself onto a stool | sits | she is standing up from the stool
somebody lies down on the carpet | lies down | somebody gets up off the carpet
the man lies down on his back | lies down | he gets back up on his feet
she stretches out flat on the ground | lies down | she stands up from the ground
"""

# What nothing recorded is like.
UNFAMILIAR = """
a person applauds
she plays the drums
the man strums a banjo
somebody milks a cow
he ties his shoelaces
a woman puts on a coat
the figure types a letter
drink tea and read the paper
a goalkeeper dives for the ball
she rides a skateboard
the cowboy lassoes a bull
paddle a kayak
he shaves his beard
a waiter carries a tray
the baby crawls under a table
she writes on a blackboard
somebody sneezes
he snores in an armchair
a man shrugs his shoulders
nodding in agreement
a mother rocks her child to sleep
the sailor climbs into a hammock
he plays billiards
pull the trigger of a pistol
an archer draws the bow
she pours a glass of wine
a pilot steers the plane
digging a grave with a spade
the old man feeds the ducks
do ten press-ups
she does a headstand
a tightrope artist falls into the net
someone sends a text message
he hands over a parcel
a couple kisses
the nurse gives an injection
sweep the floor with a broom
he slips on a banana peel
a chess player thinks
blow out the candles
"""
