"""Clause templates for actions and words for styles, shared by the recipes. The marks are those of ``training.captions``.

Each action lists its plain clauses twice or more, because animators type plain prompts.
"""

from __future__ import annotations

import re

from ..captions import Style

_LIMB = "[hand|arm]"


RAISE_ONE = (
    f"!the SIDE {_LIMB} [rises|moves up|is lifted|is raised|comes up]",
    "!with the SIDE [hand|arm], [a person|someone|a man|she] reaches up",
    "<move> ~ SIDE [hand|arm] up[|wards]",
    f"<raise> ~ SIDE {_LIMB}",
    f"<raise> ~ SIDE {_LIMB}",
    f"<lift> ~ SIDE {_LIMB}",
    f"<raise> ~ SIDE {_LIMB} [|up]",
    f"<lift> ~ SIDE {_LIMB} [|up]",
    f"<put> ~ SIDE {_LIMB} up",
    f"<put> up ~ SIDE {_LIMB}",
    f"<hold> ~ SIDE {_LIMB} up",
    f"<stick> ~ SIDE {_LIMB} up [|in the air]",
    "<reach> up with ~ SIDE [hand|arm]",
    f"<bring> ~ SIDE {_LIMB} up",
    f"[<stand> and <raise>|<stand> still and <raise>|<stand> in place and <lift>] ~ SIDE {_LIMB} [|up]",
    f"<lift> up ~ SIDE {_LIMB}",
)
# Only where the wrist rises over the head; in half of the sentences, or it is not learned (docs/decisions/0027).
_ONE_HIGH = (
    f"<raise> ~ SIDE {_LIMB} [high|in the air|overhead|above ~ head|all the way up|toward the ceiling]",
    f"<lift> ~ SIDE {_LIMB} [high|in the air|over ~ head]",
    f"<reach> [up high|for the sky|for the ceiling] with ~ SIDE {_LIMB}",
)
RAISE_ONE_HIGH = (*RAISE_ONE, *_ONE_HIGH * 5)
# For takes in which the arm also comes down again.
RAISE_ONE_AND_LOWER = (
    f"<raise> ~ SIDE {_LIMB} [|up] and <lower> it [|again]",
    f"<lift> ~ SIDE {_LIMB} [|up] [and then <lower> it|and <put> it [down|back down]|, then <lower> it [|again]]",
    f"<put> ~ SIDE {_LIMB} up and [then|] [down|back down] again",
    f"<raise> ~ SIDE {_LIMB} [|up] and <bring> it [back down|down again]",
)
RAISE_ONE_HIGH_AND_LOWER = (
    *RAISE_ONE_AND_LOWER,
    *(
        f"<raise> ~ SIDE {_LIMB} [high|overhead|above ~ head] and <lower> it [|again]",
        f"<lift> ~ SIDE {_LIMB} [high|over ~ head] [and then <lower> it|and <put> it back down]",
    )
    * 2,
)
# For wrists that stay below LOW_RAISE: who asks for a raised arm means one that goes up.
RAISE_ONE_LOW = (
    f"!the SIDE {_LIMB} [rises|moves up|is lifted|is raised|comes up] to shoulder height",
    f"<raise> ~ SIDE {_LIMB} [to shoulder height|to the height of the shoulder|halfway|only halfway up|a little]",
    f"<lift> ~ SIDE {_LIMB} [to shoulder height|halfway|not very high|no higher than the shoulder]",
    f"<bring> ~ SIDE {_LIMB} up to [shoulder height|the shoulder]",
    f"<move> ~ SIDE {_LIMB} up to shoulder height",
    f"<hold> ~ SIDE {_LIMB} [at shoulder height|up at the height of the shoulder]",
    f"[<stand> and <raise>|<stand> still and <raise>|<stand> in place and <lift>] ~ SIDE {_LIMB} to shoulder height",
)
RAISE_ONE_BENT = (
    *RAISE_ONE_LOW,
    "<raise> ~ SIDE hand to shoulder height with [a bent elbow|the elbow bent]",
    "<bend> ~ SIDE [arm|elbow] and <bring> the hand up to the shoulder",
)
RAISE_ONE_LOW_AND_LOWER = (
    f"<raise> ~ SIDE {_LIMB} [to shoulder height|halfway] and <lower> it [|again]",
    f"<lift> ~ SIDE {_LIMB} to shoulder height[ and then <lower> it| and <put> it [down|back down]|, then <lower> it again]",
)
LOWER_ONE = (
    f"!the SIDE {_LIMB} [comes down|is lowered|sinks]",
    f"<lower> ~ SIDE {_LIMB}",
    f"<lower> ~ SIDE {_LIMB}",
    f"<put> ~ SIDE {_LIMB} [down|back down]",
    f"<bring> ~ raised SIDE {_LIMB} down",
    f"<let> ~ SIDE {_LIMB} down",
    f"<drop> ~ SIDE {_LIMB} to ~ side",
)
_BOTH = "[both hands|both hands|both arms|both arms|~ arms|~ hands]"
RAISE_BOTH = (
    "!both [arms|hands] [rise|go up|are raised|are lifted]",
    f"<raise> {_BOTH}",
    f"<raise> {_BOTH}",
    f"<lift> {_BOTH}",
    f"<raise> {_BOTH} [|up]",
    f"<lift> {_BOTH} [|up]",
    "<put> [both hands|~ hands|both arms|~ arms] up",
    "<hold> [both hands|~ arms|both arms] up",
    "<stand> and <raise> [both hands|both arms]",
    "<bring> [both arms|both hands|~ arms] up",
    "<reach> up with both [hands|arms]",
    "![the|both] [arms|hands] [go up|come up|rise]",
    "<throw> [both|~] arms up [|in the air]",
    "<stretch> both arms [up|upward]",
)
_BOTH_HIGH = (
    f"<raise> {_BOTH} [high|in the air|overhead|above ~ head]",
    f"<lift> {_BOTH} [high|in the air|over ~ head]",
    "![the|both] [arms|hands] [go up|come up|rise] [over the head|into the air|above the head]",
)
RAISE_BOTH_HIGH = (*RAISE_BOTH, *_BOTH_HIGH * 3)
RAISE_BOTH_AND_LOWER = (
    f"<raise> {_BOTH} [|up] and <lower> them [|again]",
    f"<lift> {_BOTH} [|up][, then <lower> them| and <put> them [down|back down]| and <bring> them down again]",
)
RAISE_BOTH_HIGH_AND_LOWER = (
    *RAISE_BOTH_AND_LOWER,
    f"<raise> {_BOTH} [high|overhead|above ~ head] and <lower> them [|again]",
    f"<lift> {_BOTH} [high|over ~ head] and <put> them back down",
)
RAISE_BOTH_LOW = (
    "!both [arms|hands] [rise|go up|are raised|are lifted] to shoulder height",
    f"<raise> {_BOTH} [to shoulder height|to the height of the shoulders|halfway|only halfway up|a little]",
    f"<lift> {_BOTH} [to shoulder height|halfway|not very high|no higher than the shoulders]",
    f"<bring> {_BOTH} up to [shoulder height|the shoulders]",
    f"<move> {_BOTH} up to shoulder height",
    f"<hold> {_BOTH} [at shoulder height|up at the height of the shoulders]",
    f"<stand> and <raise> {_BOTH} to shoulder height",
)
RAISE_BOTH_BENT = (
    *RAISE_BOTH_LOW,
    "<raise> both hands to shoulder height with [bent elbows|the elbows bent]",
    "<bend> both [arms|elbows] and <bring> the hands up to the shoulders",
)
RAISE_BOTH_LOW_AND_LOWER = (
    f"<raise> {_BOTH} [to shoulder height|halfway] and <lower> them [|again]",
    f"<lift> {_BOTH} to shoulder height[, then <lower> them| and <put> them [down|back down]| and <bring> them down again]",
)
LOWER_BOTH = (
    f"<lower> {_BOTH}",
    "<put> [both hands|both arms|~ arms] [down|back down]",
    "<bring> ~ raised arms down",
    "<let> both arms down",
)
WAVE_ONE = (
    "!the SIDE [hand|arm] waves",
    "!with the SIDE hand, [a person|someone|a man|she] waves",
    "<do> a wave with ~ SIDE hand",
    "<swing> ~ raised SIDE [hand|arm] from side to side",
    "<wave> ~ SIDE hand",
    "<wave> ~ SIDE hand",
    "<wave> with ~ SIDE [hand|arm]",
    "<wave> ~ SIDE arm",
    "<wave> [hello|goodbye|to a friend] with ~ SIDE hand",
    "<wave> [hi|goodbye|hello] [using|with] ~ SIDE hand",
    "<raise> ~ SIDE hand and <wave>",
    "<lift> ~ SIDE [arm|hand] and <wave> [with it|it [|from side to side]]",
    "<stand> and <wave> [~ SIDE hand|with ~ SIDE hand]",
    "<greet> a friend by waving ~ SIDE hand",
    "<wave> ~ raised SIDE hand [from side to side|back and forth|]",
    "<wave> to a friend with ~ SIDE [hand|arm]",
)
WAVE_SOME = (
    "<wave>",
    "<wave> [hello|goodbye]",
    "<wave> to a friend",
    "<wave> [one|a] hand",
)
WAVE_BOTH = (
    "!both [hands|arms] wave",
    "<wave> both hands",
    "<wave> both hands",
    "<wave> both [hands|arms]",
    "<wave> with both [hands|arms]",
    "<raise> [both hands|both arms] and <wave> [|them|with them]",
    "<wave> [hello|goodbye] with both hands",
    "<wave> ~ arms [|from side to side|in the air]",
    "<stand> and <wave> [both hands|both arms|with both hands]",
    "<lift> both [hands|arms] and <wave>",
)
# The hand is up already.
KEEP_WAVING_ONE = (
    "<keep> waving",
    "<keep> waving ~ SIDE [hand|arm]",
    "<keep> waving with ~ SIDE [hand|arm]",
    "<go> on waving [|to a friend|goodbye]",
    "<go> on waving ~ SIDE hand",
    "<go> on waving with ~ SIDE [hand|arm]",
    "<continue> to wave ~ SIDE hand",
    "<continue> to wave with ~ SIDE [hand|arm]",
    "<wave> ~ raised SIDE hand [from side to side|back and forth|]",
    "<swing> ~ raised SIDE [hand|arm] from side to side",
    "<wave> on and on with ~ SIDE hand",
    "<hold> ~ SIDE hand up and <wave> it",
)
KEEP_WAVING_BOTH = (
    "<keep> waving both [hands|arms]",
    "<keep> waving with both [hands|arms]",
    "<go> on waving both hands",
    "<go> on waving with both [hands|arms]",
    "<continue> to wave [both hands|with both hands|~ arms]",
    "<wave> ~ raised arms [from side to side|in the air|]",
    "<wave> on and on with both [hands|arms]",
    "<hold> both [hands|arms] up and <wave> them",
)
WALK = (
    "<go> forward on foot",
    "<wander> [along|forward]",
    "<walk> forward",
    "<walk> forward",
    "<walk>",
    "<walk> [straight|straight ahead|forwards|ahead|along|straight forward]",
    "<take> [some|a few|several] steps [forward|ahead]",
    "<step> forward [|several times]",
    "<move> forward [on foot|at a walk]",
    "<walk> in a straight line",
    "<go> for a walk",
    "<stroll> [forward|along|]",
    "[<amble>|<trudge>|<march>|<stride>|<pace>] [forward|along|ahead]",
    "[<keep> walking|<continue> walking] [forward|ahead|]",
    "<walk> [along|forward] with [even|steady|regular] steps",
    "<pace> [forward|ahead|along]",
    "<advance> [on foot|step by step|a few steps]",
    "<make> ~ way forward",
    "<walk> [onward|step by step|down a path|across the room]",
)
WALK_BACK = (
    "<walk> backwards",
    "<walk> backward",
    "<walk> [backwards|backward|back] [|in a straight line]",
    "<step> [backwards|back] [|several times]",
    "<take> [some|a few|several] steps [back|backwards|backward]",
    "<move> [backwards|backward|back] [|on foot]",
    "<back> [away|up]",
)
SIDESTEP = (
    "<walk> sideways to ~ SIDE",
    "<step> [to the SIDE|sideways to the SIDE]",
    "<sidestep> to the SIDE",
    "<move> sideways to ~ SIDE",
    "<walk> sideways [toward|towards] ~ SIDE",
    "<shuffle> sideways to the SIDE",
    "<take> [a few|some|several] [steps|side steps] to the SIDE",
    "<move> [sideways|laterally] [|to the SIDE] with [|small|even] side steps",
    "<do> side steps to the SIDE",
    "<walk> like a crab to the SIDE",
    "<shuffle> to ~ SIDE side",
    "<step> [laterally|out to the side] [|several times], going SIDE",
    "<travel> sideways to the SIDE",
)
SIDESTEP_RUN = (
    "<run> sideways to ~ SIDE",
    "<shuffle> quickly [to the SIDE|sideways to the SIDE]",
    "<sidestep> quickly to the SIDE",
    "<move> sideways to ~ SIDE at a run",
    "<move> [fast|rapidly] sideways to the SIDE with side steps",
    "<gallop> sideways to the SIDE",
)
DIAGONAL = (
    "<walk> diagonally forward to ~ SIDE",
    "<walk> diagonally to ~ SIDE",
    "<walk> forward and to the SIDE",
    "<walk> forward, drifting to ~ SIDE",
    "<move> diagonally [forward|ahead] to ~ SIDE",
    "<walk> ahead at an angle to ~ SIDE",
)
RUN = (
    "<race> ahead",
    "<run> at a steady pace",
    "<run> forward",
    "<run>",
    "<run>",
    "<run> [straight ahead|ahead|forwards|along|in a straight line]",
    "<jog> [|forward|ahead|along]",
    "<go> for a run",
    "<keep> running [|ahead]",
    "<move> forward at a run",
    "<jog> [at an easy pace|steadily|in a straight line]",
    "<hurry> [along|ahead|forward]",
    "<go> [jogging|running]",
    "<run> with [even|steady|long] strides",
    "<go> for a jog",
    "<run> along a [path|track]",
)
# Those that say nothing about the course.
WALK_ABOUT, RUN_ABOUT = (
    tuple(clause for clause in clauses if not re.search(r"straight|curve|track|path", clause))
    for clauses in (WALK, RUN)
)
RUN_BACK = (
    "<run> backwards",
    "<run> backward",
    "<jog> [backwards|backward]",
    "<move> backwards at a run",
    "<run> [back|backwards] [|in a straight line]",
)


def with_arms_up(
    clauses: tuple[str, ...], ways: str = "both arms raised|~ arms raised|~ arms up|~ hands up"
) -> tuple[str, ...]:
    """Who is asked to squat, to stand up or to lift a leg does not hold up the arms unless that is said."""
    # A sentence about a leg ("!") has no person whose arms they are.
    return tuple(
        f"{clause} with [{ways.replace('~', 'the') if clause.startswith('!') else ways}]"
        for clause in clauses
    )


def along_a_curve(clauses: tuple[str, ...]) -> tuple[str, ...]:
    """The same of who goes round a bend; ``train/variants.py`` takes what is added here away again."""
    plain = (re.sub(r" \[\|[^]]*]$", "", clause) for clause in clauses)
    return tuple(f"{clause} [in|along] a curve" for clause in plain if "," not in clause)


RUN_IN_PLACE = (
    "<run> in place",
    "<run> on the spot",
    "<jog> in place",
    "<jog> on the spot",
)
DASH = (
    "<run> [fast|quickly|very fast]",
    "<dash> [forward|ahead]",
    "<sprint> [|forward|ahead]",
    "<run> forward [fast|quickly|at high speed]",
    "<rush> forward",
    "<hurry> forward",
    "<race> [ahead|along] at full speed",
    "<sprint> [at top speed|as fast as possible|away]",
    "<sprint> [down a track|in a straight line]",
    "<run> a sprint",
    "<go> at a sprint",
    "<speed> [ahead|forward] on foot",
)
# Only where the heading changes while walking.
WALK_TURN = (
    "<walk> ahead, then <go> SIDE",
    "<go> around a bend to the SIDE",
    "<walk> and <head> off to ~ SIDE",
    "<turn> SIDE",
    "<turn> to ~ SIDE",
    "<walk> and <turn> SIDE",
    "<turn> SIDE while walking",
    "<walk> forward and <turn> [SIDE|to the SIDE|to ~ SIDE]",
    "<walk> forward, then <turn> SIDE",
    "<walk>, <turn> [SIDE|to the SIDE] and <keep> walking",
    "<make> a [SIDE turn|turn to the SIDE] while walking",
    "<take> a SIDE turn",
    "<make> a SIDE turn",
    "<walk> around a corner to the SIDE",
    "<turn> to the SIDE [as ~ walk goes on|and <walk> on|and <keep> going]",
    "<walk> in a curve to the SIDE",
    "<change> direction to the SIDE",
    "<change> ~ direction while walking",
    "<walk> around a [bend|corner|curve]",
    "<go> around a [corner|curve]",
    "<turn> [on the way|in the middle of a walk|midway]",
    "<take> a turn while walking",
)
QUARTER_TURN = (
    "<turn> 90 degrees to ~ SIDE",
    "<make> a 90 degree turn to the SIDE",
    "<walk> and <turn> SIDE by 90 degrees",
    "<make> a quarter turn to the SIDE",
)
HALF_TURN = (
    "<turn> around to the SIDE",
    "<turn> around over ~ SIDE shoulder",
    "<turn> 180 degrees to ~ SIDE",
    "<make> a U-turn to the SIDE",
    "<turn> around",
)
CURVE = (
    "<walk> in a curve to the SIDE",
    "<walk> forward, curving to the SIDE",
    "<walk> forward and <veer> SIDE",
    "<veer> SIDE while walking",
    "<walk> and <bear> SIDE",
    "<walk> along a curve to the SIDE",
    "<go> along a curve",
    "<walk> along a [curved path|bend|curve]",
    "<walk> around a bend",
)
RUN_CURVE = (
    "<run> in a curve to the SIDE",
    "<run> forward and <veer> SIDE",
    "<run> and <turn> SIDE",
    "<jog> along a curve to the SIDE",
    "<turn> SIDE while running",
    "<run> along a curve to the SIDE",
    "<run> [in a circle|around in a circle|in a ring] to the SIDE",
    "<run> along an arc to the SIDE",
    "<jog> [in a circle|along a bend] to the SIDE",
    "<run> on a curved [path|track] to the SIDE",
    "<run> around in a [circle|ring]",
    "<jog> in [circles|a circle]",
    "<run> along a [curved path|curve|bend]",
    "<jog> around a [bend|curve]",
)
TURN_IN_PLACE = (
    "<turn> to face SIDE",
    "<do> a SIDE turn on the spot",
    "<swing> around to the SIDE",
    "<turn> SIDE",
    "<turn> SIDE",
    "<turn> to ~ SIDE",
    "<turn> to the SIDE",
    "<turn> SIDE on the spot",
    "<turn> in place to ~ SIDE",
    "<rotate> to ~ SIDE",
    "<stand> and <turn> [SIDE|to ~ SIDE]",
    "<spin> to the SIDE",
)
IDLE = (
    "<stand> still",
    "<stand> still",
    "<stand>",
    "<idle>",
    "<stand> in place",
    "<stand> around",
    "<wait>",
    "<stand> and <wait>",
    "<do> nothing",
    "<stand> idle",
    "<remain> standing",
    "<stand> without moving [much|]",
    "<wait> [quietly|patiently|on ~ feet]",
    "<rest> on ~ feet",
    "<keep> still",
    "<stand> [there|quietly|calmly|motionless]",
    "<stay> [still|in place|where ~ feet are]",
    "<stand> without doing anything",
    "<hold> still",
    "<remain> [still|motionless|in place]",
    "<stand> in one [spot|place] [|without moving]",
    "<stay> [standing|motionless]",
    "<stand> [like a statue|upright without moving]",
    "<pause> and <stand> still",
    "<wait> [in place|without moving|for something]",
    "<keep> standing [|still|there]",
    # After a walk: "walks, then stops" walked on.
    "<stop>",
    "<stop> [moving|walking|there]",
    "<stop> and <stand> [still|there]",
    "<come> to a [stop|halt|standstill]",
    "<halt>",
)
BOW = (
    "<bow>",
    "<bow>",
    "<take> a bow",
    "<bow> [forward|politely|respectfully]",
    "<bend> forward in a bow",
    "<bend> forward at the waist to bow",
    "<make> a bow",
    "<greet> a guest with a bow",
    "<lower> ~ upper body to bow",
    "<bow> [deeply|slightly|down|once]",
    "<make> a [deep|polite|respectful|little] bow",
    "<give> a bow",
    "<bend> at the waist [politely|to greet someone]",
    "<bow> to [someone|an audience|a guest|say thank you]",
    "<bow> ~ head and upper body",
)
CALL = (
    "<call> out with [both|~] hands around ~ mouth",
    "<cup> ~ hands around ~ mouth and <shout>",
    "<shout> to a friend [far away|in the distance]",
    "<call> [a friend|for a friend]",
)
GUIDE = (
    "<guide> a guest with ~ SIDE hand",
    "<show> the way with ~ SIDE [hand|arm]",
    "<gesture> [to the SIDE|with ~ SIDE hand] to show the way",
    "<hold> out ~ SIDE [hand|arm] to show the way",
    "<invite> a guest to come along with ~ SIDE hand",
    "<extend> ~ SIDE [hand|arm] to guide a guest",
)
RESPOND = (
    "<raise> ~ SIDE hand to respond",
    "<answer> a call by raising ~ SIDE hand",
    "<put> up ~ SIDE hand to answer",
    "<raise> ~ SIDE arm",
)
KICK_SPIN = (
    "<kick> with ~ SIDE [leg|foot]",
    "<do> a spinning kick with ~ SIDE leg",
    "<turn> and <kick> with ~ SIDE [leg|foot]",
    "<throw> a [high kick|roundhouse kick] with ~ SIDE leg",
    "<do> a [roundhouse|martial arts] kick",
    "<deliver> a [kick|roundhouse kick] with ~ SIDE leg",
    "<kick> high with ~ SIDE leg",
    "<kick>",
    "<do> a [high|karate|side] kick",
    "<kick> [high|the air|hard]",
    "<turn> and <kick>",
    "<deliver> a high kick",
)
KICK_FRONT = (
    "!the SIDE [foot|leg] kicks [forward|out]",
    "<kick> with ~ SIDE [leg|foot]",
    "<kick> with ~ SIDE [leg|foot]",
    "<kick> forward with ~ SIDE [leg|foot]",
    "<kick> ~ SIDE [leg|foot] [forward|out|up]",
    "<do> a [front|] kick with ~ SIDE [leg|foot]",
    "<give> a kick with ~ SIDE [leg|foot]",
    "<swing> ~ SIDE [leg|foot] [forward|up] in a kick",
    "<kick> [something|the air] with ~ SIDE [leg|foot]",
    "<deliver> a [front|] kick with ~ SIDE [leg|foot]",
    "<kick> out [|in front] with ~ SIDE [leg|foot]",
    "<swing> ~ SIDE foot to kick",
    "<kick>",
    "<kick> [out|forward|forwards|hard|the air|something]",
    "<do> a [front|karate|forward|] kick",
    "<deliver> a [front|hard|quick|] kick",
    "<give> [something|somebody|an opponent] a kick",
    "<kick> [out|] [in front|straight ahead|to the front]",
    "<swing> a [leg|foot] [up|out|forward] [in|for] a kick",
    "<throw> a [front|] kick",
    "<make> a kick",
)
PUNCH = (
    "<punch>",
    "<throw> [punches|a punch|a few punches]",
    "<box>",
    "<punch> from a fighting stance",
    "<throw> punches with both fists",
    "<punch> the air",
    "<shadowbox>",
    "<punch> [forward|straight ahead|hard|into the air]",
    "<hit> [something|the air] with ~ fists",
    "<jab> [forward|at the air|]",
    "<deliver> [a punch|punches]",
    "<throw> jabs [|and punches]",
    "<strike> out with ~ fists",
    "<land> [a punch|some punches|a few hits]",
    "<punch> [with both fists|again and again|several times|repeatedly]",
    "<drive> ~ fists forward",
    "<do> [some punches|a punch|punching moves]",
    "<fight> with ~ fists",
    "<hit> out [at the air|in front|]",
)
PUNCH_ONE = (
    "<punch> with ~ SIDE [hand|fist|arm]",
    "<punch> with ~ SIDE [hand|fist|arm]",
    "<punch> [forward|straight ahead|hard|the air] with ~ SIDE [hand|fist]",
    "<throw> a [punch|SIDE punch|punch with ~ SIDE hand]",
    "<throw> a punch with ~ SIDE [hand|fist]",
    "<throw> a SIDE [punch|jab|hook]",
    "<throw> SIDE punches",
    "<jab> with ~ SIDE [hand|fist]",
    "<jab> [forward|at the air] with ~ SIDE hand",
    "<hit> [|out|the air] with ~ SIDE [fist|hand]",
    "<strike> [|out] with ~ SIDE [fist|hand]",
    "<deliver> a SIDE punch",
    "<drive> ~ SIDE fist forward",
    "<land> a SIDE punch",
    "<box> with ~ SIDE hand",
    "!the SIDE [hand|fist|arm] punches [|forward]",
)
SLASH = (
    "<swing> a sword",
    "<slash> with a sword",
    "<cut> through the air with a sword",
    "<swing> a sword with both hands",
    "<strike> with a two-handed sword",
    "<practise> sword strokes",
)
DANCE = (
    "<dance>",
    "<dance>",
    "<do> a dance",
    "<perform> a dance",
    "<dance> around",
    "<dance> [to music|with big arm movements]",
    "<groove> [|to the music|to a beat]",
    "<dance> [happily|freely|at a party|to a song]",
    "<show> a few dance moves",
    "<move> to [the music|a rhythm]",
    "<do> some dance [steps|moves]",
    "<perform> [some dance moves|a dance routine|a short dance]",
    "<dance> [for fun|alone|wildly|with energy]",
    "<do> a little dance",
    "<bust> some moves",
)
SALSA = (
    "<dance> salsa",
    "<dance> the salsa",
    "<dance>",
    "<do> salsa steps",
    "<perform> a salsa dance",
    "<do> a Latin dance",
    "<dance> to Latin music",
    "<dance> to [the music|a song]",
    "<show> some dance moves",
    "<groove> to the music",
    "<perform> a dance",
    "<do> a dance",
    "<dance> [around|alone|happily|freely|at a party]",
    "<do> some dance [steps|moves]",
    "<show> off [some moves|a dance]",
    "<move> to [the music|a rhythm|a beat]",
    "<dance> with [swinging hips|quick feet|quick steps]",
    "<perform> [some dance moves|a dance routine]",
)
INDIAN_DANCE = (
    "<dance> an Indian dance",
    "<perform> an Indian dance",
    "<perform> a classical Indian dance",
    "<dance>",
    "<dance> Bharatanatyam",
    "<do> an Indian dance with expressive arms",
    "<perform> a dance",
    "<do> a dance",
    "<dance> [around|to the music|to a song|with expressive arms]",
    "<perform> a [traditional|folk] dance",
    "<show> [a dance|some dance moves]",
)
BALLET = (
    "<dance> ballet",
    "<do> ballet",
    "<perform> a ballet dance",
    "<dance> [gracefully|]",
    "<do> a ballet [routine|move]",
    "<dance> like a [ballerina|ballet dancer]",
    "<perform> a dance",
    "<dance>",
)
KARATE = (
    "<do> karate",
    "<practise> karate",
    "<perform> martial arts moves",
    "<do> a martial arts [form|routine|kata]",
    "<fight> an invisible opponent with karate moves",
    "<perform> a karate kata",
)
JUMP = (
    "<jump>",
    "<jump>",
    "<jump> up",
    "<jump> [in the air|into the air|once]",
    "<hop>",
    "<leap> [|up|into the air]",
    "<bend> ~ knees and <jump>",
    "<do> a jump",
    "<spring> [up|into the air|off the ground]",
    "<jump> [straight up|off the floor|up and down once|high]",
    "<leap> [up high|off the ground]",
    "<push> off and <jump>",
    "<bounce> up",
)
JUMP_FORWARD = (
    "<jump> forward",
    "<jump> forward",
    "<jump>",
    "<jump> ahead",
    "<leap> forward",
    "<hop> forward",
    "<bend> ~ knees and <jump> forward",
    "<do> a jump forward",
    "<jump> forward with both feet",
    "<leap> [ahead|forward through the air]",
    "<spring> forward",
    "<take> a leap forward",
    "<jump> [forwards|ahead] [with both feet|with ~ feet together|]",
    "<bounce> forward",
    "<jump>, landing in front",
)
HOP_FORWARD = (
    "<hop> forward",
    "<hop> forward on both [legs|feet]",
    "<hop> [once|]",
    "<jump> forward with both feet",
    "<make> a small jump forward",
    "<hop> ahead with both feet together",
    "<bounce> [forward|ahead] on both feet",
    "<hop> [forward|ahead] with ~ feet together",
    "<jump> [forward|ahead] with ~ feet together",
    "<do> a hop [|forward]",
    "<take> a small jump",
)
SQUAT = (
    "<squat>",
    "<squat>",
    "<do> a squat",
    "<squat> down and <stand> [up|back up]",
    "<do> a deep squat",
    "<bend> ~ knees and <squat> down",
    "<squat> and <rise> again",
    "<sink> into a squat and <come> back up",
    "<crouch> [down|low] and <stand> up again",
    "<go> down into a squat [|and <come> up]",
    "<bend> ~ knees deeply and <rise>",
    "<squat> [low|deeply] [|and <get> back up]",
    "<do> a knee bend",
    "<lower> into a squat",
)
SQUAT_ARMS_UP = (
    *with_arms_up(SQUAT),
    "<do> a deep squat with ~ arms raised overhead",
    "<squat> down with ~ arms up and <stand> up again",
    "<do> an overhead squat",
)
LIFT_LEG = (
    "!the SIDE [leg|foot] [rises|is lifted|is raised|comes up]",
    "<pick> up ~ SIDE foot",
    "<lift> ~ SIDE leg",
    "<raise> ~ SIDE leg",
    "<raise> ~ SIDE leg",
    "<lift> ~ SIDE [leg|foot] [up|off the ground|forward|in front of ~ body|]",
    "<raise> ~ SIDE [leg|foot] [forward|in front of ~ body|off the floor|high]",
    "<hold> ~ SIDE leg up in front",
    "<stand> on ~ OTHER leg and <lift> ~ SIDE [leg|one]",
    "<stand> on one leg and <raise> the SIDE one",
    "<lift> ~ SIDE leg and <lower> it again",
    "<balance> on ~ OTHER leg while lifting the SIDE one",
)
LIFT_STRAIGHT_LEG = (
    *LIFT_LEG,
    "<raise> ~ straight SIDE leg [|forward]",
    "<lift> ~ straight SIDE leg to hip height",
    "<swing> ~ straight SIDE leg up to the front",
)
LIFT_KNEE = (
    *LIFT_LEG,
    "<lift> ~ SIDE knee",
    "<raise> ~ SIDE knee",
    "<raise> ~ SIDE knee [up|high|to the chest]",
    "<lift> ~ SIDE knee [up|high|as if stepping over a hurdle]",
    "<step> over a hurdle with ~ SIDE [leg|foot]",
    "<bring> ~ SIDE knee up",
)
INLINE_LUNGE = (
    "<lunge>",
    "<do> a lunge with the SIDE foot in front",
    "<lunge> with ~ SIDE [leg|foot] in front",
    "<lower> into a lunge [|and <rise> again]",
    "<do> a split squat with the SIDE leg in front",
    "<sink> into a lunge with ~ SIDE foot forward and <come> back up",
    "<do> a lunge",
)
SIDE_LUNGE = (
    "<lunge> to the SIDE",
    "<lunge> [sideways to the SIDE|to ~ SIDE]",
    "<do> a side lunge to the SIDE",
    "<do> a side lunge",
    "<bend> ~ SIDE knee in a side lunge",
    "<shift> ~ weight to the SIDE in a deep side lunge",
    "<lean> into a lunge to ~ SIDE and <push> back up",
)
SIT_AND_STAND = (
    "<sit> down and <stand> [up|up again|back up]",
    "<sit> down and <get> up again",
    "<sit> on a chair and <stand> up",
    "<sit> down [on|onto] a chair, then <rise>",
    "<lower> into a seat and <stand> back up",
    "<take> a seat and <rise> again",
    "<lower> ~ body onto a chair and <get> back up",
)
SIT_DOWN = (
    "<sit> down",
    "<sit> down",
    "<sit> down on a [chair|stool|bench]",
    "<take> a [seat|seat on a chair]",
    "<lower> into a [seat|chair]",
    "<settle> onto a [chair|stool|seat]",
    "<sit>",
    "<sit> on a [chair|stool|box]",
    "<sit> [|down] on a seat",
    "<lower> ~ body [to sit|onto a chair]",
    "<have> a seat",
    "<go> from standing to sitting",
    "<perch> on a stool",
)
STAND_UP = (
    "<stand> up",
    "<stand> up",
    "<get> up",
    "<rise> from a chair",
    "<get> up from a chair",
    "<stand> up from sitting",
)
# Of an exercise whose arm goes up and comes down again.
ABDUCT_ARM = (
    "<raise> ~ SIDE arm [out to the side|sideways|to the side]",
    "<lift> ~ straight SIDE arm [out to the side|sideways] [|and <lower> it again]",
    "<swing> ~ SIDE arm up at ~ side",
)
ABDUCT_ARM_HIGH = ("<raise> ~ SIDE arm [out to the side|sideways|to the side] until it is overhead",)
SCAPTION_ARM = (
    "<raise> ~ SIDE arm [diagonally|in front of ~ body|forward and out]",
    "<lift> ~ straight SIDE arm [diagonally|forward and out] [|and <lower> it again]",
)
SCAPTION_ARM_LOW = (
    "<raise> ~ SIDE arm [diagonally|in front of ~ body|forward and out|to shoulder height]",
    "<lift> ~ straight SIDE arm to shoulder height [|and <lower> it again]",
    "<hold> ~ straight SIDE arm out at shoulder height",
)
EXTEND_ARM = (
    "<swing> ~ SIDE arm [back|backward|backwards] [|behind ~ body]",
    "<move> ~ SIDE arm behind ~ [back|body]",
    "<extend> ~ SIDE arm backwards",
    "<stretch> ~ SIDE arm out behind ~ body",
    "<reach> back with ~ SIDE [arm|hand]",
    "<bring> ~ SIDE arm back and then forward again",
)
ROTATE_FOREARM = (
    "<hold> ~ SIDE arm out and <rotate> the forearm",
    "<rotate> ~ SIDE [shoulder|forearm]",
    "<swing> ~ SIDE forearm up and down with the elbow bent",
    "<hold> ~ SIDE elbow at shoulder height and <turn> the forearm down and up",
    "<bend> ~ SIDE elbow and <rotate> the arm",
)
DEPOSIT = (
    "<bend> down and <put> something on the floor with ~ SIDE hand",
    "<put> something down on the [floor|ground] [|with ~ SIDE hand]",
    "<bend> down to the floor and <stand> up again",
    "<bend> down and <touch> the floor with ~ SIDE hand",
    "<place> an object on the [floor|ground] with ~ SIDE hand",
    "<bend> over to set something down",
    "<bend> down",
    "<pick> something up from the floor with ~ SIDE hand",
    "<reach> down to the [floor|ground] [|with ~ SIDE hand]",
    "<stoop> [down|] to [lay something down|touch the ground|reach the floor]",
    "<lean> down and <touch> the ground",
    "<crouch> down to put something on the floor",
    "<bend> [over|forward] to [the ground|reach something low]",
    "<bend> at the waist and <pick> up an object",
    "<bend> over",
    "<bend> down to the [floor|ground]",
    "<stoop> down",
    "<bend> down low",
    "<lean> forward and <reach> down",
    "<bend> down to [pick something up|tie a shoe|touch the floor]",
    "<reach> for the [floor|ground]",
)
GRAB_HIGH = (
    "<reach> up with ~ SIDE [hand|arm]",
    "<reach> high and <grab> something with ~ SIDE hand",
    "<raise> ~ SIDE [arm|hand] to grab something",
    "<grab> something from [a high shelf|above ~ head] with ~ SIDE hand",
    "<reach> up [high|] with ~ SIDE hand and <take> something down",
    "<raise> ~ SIDE [arm|hand] [up|high|above ~ head]",
    "<lift> ~ SIDE [arm|hand] [|up]",
    "<raise> ~ SIDE arm and <lower> it again",
)
BASKET_SHOT = (
    "<throw> a basketball",
    "<shoot> a basketball",
    "<take> a shot at the [basket|hoop]",
    "<make> a basketball shot",
    "<shoot> [a ball|] at the [basket|hoop]",
    "<throw> a [ball|basketball] [up|] at the [basket|hoop]",
    "<shoot> a ball with both hands",
    "<throw> a ball up [high|] with both hands",
)
THROW = (
    *BASKET_SHOT[:4],
    "<throw> a ball",
    "<throw> a ball with both hands",
    "<throw> something [|with both hands]",
    "<toss> a ball [forward|]",
    "<hurl> [something|a ball|an object] [|forward|away]",
    "<fling> [something|a ball] forward",
    "<pitch> a ball",
    "<throw> [an object|something] [forward|away|to a friend]",
    "<pass> a ball [|with both hands]",
    "<make> a throw",
    "<throw> something with force",
    "<lob> [something|a ball] [forward|]",
    "<toss> [something|an object] [away|ahead|forward]",
    "<hurl> [something|an object] [ahead|with force]",
    "<throw> a ball [at the hoop|to somebody|as far as possible]",
    "<launch> a ball [forward|into the air]",
)
LIE_DOWN = (
    "<lie> down",
    "<lie> down on the [floor|ground]",
    "<lie> down on the [floor|ground]",
    "<get> down on the floor and <lie> down",
    "<go> down to the [floor|ground] and <lie> there",
    "<lower> to the ground and <lie> down",
    "<get> onto the [floor|ground] and <lie> flat",
    "<lie> flat on the [floor|ground]",
    "<stretch> out on the [floor|ground]",
    "<go> to bed on the floor",
    "<drop> down and <lie> on ~ back",
)
ARM_CIRCLES_BACK = (
    "<circle> both arms backward",
    "<swing> both arms in circles [|backwards]",
    "<rotate> both arms backwards",
    "<do> arm circles [|backwards]",
    "<circle> ~ arms",
)
ELBOW_TO_KNEE = (
    "<touch> ~ [right|right raised] knee with ~ left elbow",
    "<bring> ~ left elbow to ~ right knee",
    "<lift> ~ right knee to ~ left elbow",
    "<raise> ~ right knee and <touch> it with ~ left elbow",
    "<do> [an elbow to knee exercise|a standing crunch, left elbow to right knee]",
    "<lift> ~ right knee",
    "<raise> ~ right knee",
)
SNEAK = (
    "<sneak> [|forward|ahead|along]",
    "<sneak> forward",
    "<tiptoe> forward",
    "<creep> [forward|ahead]",
    "<walk> stealthily",
    "<walk> quietly [|with careful steps]",
    "<sneak> a few steps forward",
)
CLIMB = (
    "<climb>",
    "<climb> [a frame|on something]",
    "<climb> around on a playground",
    "<climb> up something",
    "<move> about on a climbing frame",
)
DAB = ("<dab>", "<do> a dab", "<dance> and <dab>", "<dance> and <do> a dab")
ZOMBIE = (
    "<walk> like a zombie",
    "<shuffle> like a zombie",
    "<move> like a zombie with [~ arms stretched out|both arms stretched out in front]",
    "<stagger> about like a zombie",
    "<act> like a zombie",
)

CARTWHEEL = (
    "<do> a cartwheel",
    "<do> cartwheels",
    "<perform> a cartwheel",
    "<cartwheel> [|sideways]",
    "<turn> a cartwheel",
)
BALANCE = (
    "<balance> on [one leg|~ SIDE leg|~ SIDE foot]",
    "<stand> on one leg [|with ~ arms out]",
    "<stand> on ~ SIDE [leg|foot]",
    "<balance> on ~ SIDE leg with outstretched arms",
    "<hold> ~ balance on one leg",
)
DRIBBLE = (
    "<dribble> a basketball",
    "<dribble> a ball",
    "<bounce> a ball",
    "<play> basketball",
    "<dribble> a basketball while moving",
)
SOCCER_KICK = (
    "<kick> a ball",
    "<kick> a soccer ball",
    "<kick> a ball with ~ SIDE foot",
    "<kick> a football with ~ SIDE foot",
    "<run> up and <kick> a ball",
    "<shoot> a ball with ~ SIDE foot",
    "<take> a shot at goal",
    "<swing> ~ foot to kick a ball",
)
BOX = (
    "<box>",
    "<box>",
    "<shadowbox>",
    "<do> some boxing",
    "<do> boxing moves",
    "<fight> like a boxer",
    "<move> like a boxer",
    "<practise> boxing",
    "<spar> like a boxer",
    "<fight> with ~ fists",
)
BOX_PUNCHES = (
    "<box>",
    "<shadowbox>",
    "<throw> punches",
    "<punch>",
    "<punch> like a boxer",
    "<throw> [jabs|a few jabs|a combination of punches|hooks and jabs]",
    "<jab> with [both|~] fists",
    "<hit> [a punching bag|an invisible opponent]",
    "<punch> the air [|with both fists]",
    "<land> [some punches|a few punches|jabs]",
    "<punch> [again and again|repeatedly|with both hands]",
    "<do> some punches",
    "<deliver> [some|a few|several] punches",
)
SWORD = (
    "<fight> with a sword",
    "<swing> a sword",
    "<practise> swordplay",
    "<fence> with a sword",
    "<do> swordplay",
)
WASH_WINDOW = (
    "<wash> windows",
    "<wash> a window",
    "<clean> a window",
    "<wipe> a window [|with circular motions]",
)
MOP = (
    "<mop> the floor",
    "<mop>",
    "<clean> the floor with a mop",
    "<push> a mop over the floor",
    "<sweep> the floor",
)
LAUGH = ("<laugh>", "<laugh> [hard|out loud|heartily]", "<shake> with laughter", "<crack> up [|laughing]")
DRINK = (
    "<drink> [|a soda|from a bottle]",
    "<open> a bottle and <drink>",
    "<take> a drink",
    "<take> a sip [|from a bottle]",
)
WASH_SELF = ("<wash> ~ body", "<take> a shower", "<wash> [|the] arms and legs", "<scrub> ~ body")
STAIRS = (
    "<climb> stairs",
    "<walk> up [some|a few|three] steps",
    "<go> up the stairs",
    "<climb> [a few|three] steps",
    "<climb> up and down steps",
)
LADDER = ("<climb> a ladder", "<climb> a ladder", "<go> up a ladder", "<climb> up a ladder", "<use> a ladder")
REACH_UP = (
    "<reach> up",
    "<reach> up high",
    "<stretch> to reach something high",
    "<reach> for something overhead",
    "<stand> on tiptoe and <reach> up",
)
EXERCISE = ("<exercise>", "<do> exercises", "<do> gymnastics", "<work> out", "<warm> up", "<stretch>")
UNEVEN = (
    "<walk> over uneven ground",
    "<walk> on uneven terrain",
    "<walk> over obstacles",
    "<walk> across rough ground",
)
STRIDE = (
    "<walk> with long strides",
    "<stride> forward",
    "<take> big steps forward",
    "<walk> forward with exaggerated steps",
    "<walk> forward",
)
RUN_AND_LEAP = (
    "<run> and <leap>",
    "<run> and <jump>",
    "<run> forward and <jump>",
    "<take> a running jump",
    "<leap> [while running|from a run]",
)
RUN_JUMP_OVER = (
    *RUN_AND_LEAP,
    "<run> and <jump> over [something|an obstacle]",
    "<jump> over [something|an obstacle|a hurdle] [at|from] a run",
)
RUN_DUCK = (
    "<run> and <duck> under something",
    "<duck> while running",
    "<run> forward, <duck> down and <run> on",
    "<run> and <crouch> under [something|an obstacle]",
)
RUN_ROLL = (
    "<run>, <dive>, <roll> and <run> on",
    "<dive> into a roll",
    "<run> and <do> a forward roll",
    "<roll> over the floor [at|from] a run",
)
RUN_STOP = (
    "<run> and <stop>",
    "<run> and <stop> suddenly",
    "<run> forward and <stop> [quickly|abruptly]",
    "<stop> in the middle of a run",
)
RUN_STOP_RUN = (*RUN_STOP, "<run>, <stop> and <run> again", "<run>, <stop> briefly and <keep> running")
WALK_TO_RUN = (
    "<walk>, then <run>",
    "<walk> and <break> into a run",
    "<start> to run from a walk",
    "<walk> forward and then <start> running",
)
HANDLEBARS = (
    "<stand> as if on a motorcycle",
    "<ride> a motorcycle",
    "<hold> the handlebars of a motorcycle",
    "<pretend> to ride a motorcycle",
)
SIGNALS = (
    "<gesture> with both hands",
    "<make> signals with the hands",
    "<give> hand signals",
    "<gesture>",
    "<make> gestures with ~ arms",
)
DIRECT_TRAFFIC = (
    "<direct> traffic",
    "<direct> traffic with ~ arms",
    "<give> signals like a traffic officer",
    "<signal> with ~ arms",
    "<gesture> with both arms",
)
TEAPOT = (
    "<act> out a nursery rhyme",
    "<play> I'm a little teapot",
    "<imitate> a teapot",
    "<act> like a teapot",
)
STORY = ("<tell> a story with gestures", "<gesture> with both arms", "<act> out a story", "<mime> a journey")
HOP_UP_DOWN = (
    "<jump> up and down",
    "<hop> up and down",
    "<hop> on one foot",
    "<jump> on the spot",
    "<jump> several times",
)

STYLES = {
    "active": Style(
        ("energetically", "with energy", "in a lively way", "actively", "briskly", "vigorously"),
        ("energetic", "lively"),
    ),
    "angry": Style(
        ("angrily", "in anger", "in an angry way", "furiously", "like an angry person"), ("angry", "furious")
    ),
    "childish": Style(
        ("like a child", "childishly", "in a childish way", "like a little kid", "playfully"), ("childish",)
    ),
    "chimpira": Style(
        ("like a thug", "like a gangster", "with a swagger", "in a cocky way"), ("cocky",), woman=False
    ),
    "elderly": Style(
        (
            "like an old person",
            "like an elderly person",
            "with the movements of old age",
            "slowly like an old person",
        ),
        ("old", "elderly", "aged"),
    ),
    "exhausted": Style(
        (
            "tiredly",
            "wearily",
            "in exhaustion",
            "as if exhausted",
            "like a tired person",
            "with no strength left",
        ),
        ("tired", "exhausted", "weary"),
    ),
    "feminine": Style(
        ("in a feminine way", "like a woman", "gracefully", "daintily"), ("feminine",), man=False
    ),
    "giant": Style(("like a giant", "heavily, like a giant", "with heavy, huge movements"), ("gigantic",)),
    "happy": Style(
        ("happily", "cheerfully", "joyfully", "in a happy way", "in a good mood"), ("happy", "cheerful")
    ),
    "masculine": Style(
        ("in a masculine way", "like a strong man", "with a manly bearing"), ("masculine",), woman=False
    ),
    "musical": Style(("rhythmically", "as if to music", "to a beat", "in a musical way"), ()),
    "normal": Style(("normally", "in a normal way", "casually"), (), named=0.12),
    "not-confident": Style(
        ("timidly", "shyly", "without confidence", "nervously", "in an insecure way"),
        ("shy", "timid", "nervous"),
    ),
    "proud": Style(("proudly", "with pride", "in a proud way", "with the chest out"), ("proud",)),
    "sad": Style(
        ("sadly", "in sadness", "in a sad way", "gloomily", "as if depressed"), ("sad", "depressed")
    ),
    "youthful": Style(
        ("youthfully", "like a young person", "with youthful energy", "in a youthful way"),
        ("young", "youthful"),
    ),
    "Aeroplane": Style(
        ("with the arms spread like an aeroplane", "like an aeroplane", "with both arms held out like wings"),
        (),
        named=0.8,
    ),
    "Chicken": Style(
        ("like a chicken", "flapping the elbows like a chicken", "imitating a chicken"), (), named=0.8
    ),
    "Drunk": Style(
        ("drunkenly", "like a drunk", "as if drunk", "swaying like a drunk"), ("drunk",), named=0.8
    ),
    "InTheDark": Style(
        ("as if in the dark", "feeling the way in the dark", "with the hands out as if in the dark"),
        (),
        named=0.8,
    ),
    "KarateChop": Style(
        ("doing karate chops", "while doing karate chops", "chopping the air with the hands"), (), named=0.8
    ),
}
STYLES["old"] = STYLES["elderly"]
STYLES["tired"] = STYLES["exhausted"]
STYLES["masculinity"] = STYLES["masculine"]
STYLES["Angry"] = STYLES["angry"]

SLOWLY = Style(("slowly", "very slowly", "in slow motion", "gradually"), (), named=0.7)
FAST = Style(("quickly", "fast", "at a fast pace", "swiftly"), (), named=0.5)
SLOW = Style(("slowly", "at a slow pace", "unhurriedly"), (), named=0.5)
PLAIN = Style(("casually", "normally", "at a normal pace"), (), named=0.1)


def joined(*styles: Style) -> Style:
    """One style that says either of several things."""
    return Style(
        adverbs=tuple(word for style in styles for word in style.adverbs),
        adjectives=tuple(word for style in styles for word in style.adjectives),
        woman=all(style.woman for style in styles),
        man=all(style.man for style in styles),
        named=max(style.named for style in styles),
    )
