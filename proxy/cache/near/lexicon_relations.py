"""Our own lists of words that stand to each other: opposites, rivals, equals and near equals."""

from typing import Final


def _groups(text: str) -> tuple[tuple[str, ...], ...]:
    """Groups, each written with slashes: `hot/cold wet/dry`."""
    return tuple(tuple(group.split("/")) for group in text.split())


ANTONYMS: Final = _groups(
    """
    enable/disable enable/block activate/deactivate increase/decrease increase/reduce
    increase/lower raise/lower raise/reduce raise/drop gain/lose rise/fall grow/shrink
    expand/collapse expand/shrink expand/contract maximize/minimize maximum/minimum max/min
    most/least atleast/atmost more/less more/fewer best/worst better/worse good/bad
    first/last first/final last/next previous/next initial/final early/late before/after
    begin/end start/contain begin/contain end/contain
    start/stop start/end start/finish open/close lock/unlock add/remove add/delete
    add/subtract add/drop insert/remove insert/delete attach/detach append/prepend push/pop
    push/pull create/delete create/destroy create/remove build/destroy install/uninstall
    install/remove mount/unmount import/export upload/download encode/decode encrypt/decrypt
    compress/decompress compress/extract zip/unzip pack/unpack serialize/deserialize
    marshal/unmarshal subscribe/unsubscribe follow/unfollow friend/unfriend like/dislike
    love/hate mute/unmute hide/show hide/unhide freeze/unfreeze freeze/thaw
    archive/unarchive pin/unpin check/uncheck select/deselect commit/revert merge/split
    join/split join/leave enter/leave enter/exit arrive/depart arrive/leave
    arrival/departure buy/sell buyer/seller purchase/sell lend/borrow lender/borrower
    rent/own give/take give/receive send/receive sender/receiver sender/recipient
    employer/employee teacher/student doctor/patient landlord/tenant client/server
    parent/child mother/father husband/wife brother/sister son/daughter king/queen man/woman
    boy/girl male/female uncle/aunt host/guest master/slave producer/consumer
    publisher/subscriber plaintiff/defendant winner/loser predator/prey cause/effect
    cause/cure cause/prevent symptom/cure symptom/treatment problem/solution question/answer
    input/output read/write get/set get/post get/put put/post request/response
    source/destination source/target pro/con benefit/risk benefit/drawback
    advantage/disadvantage advantage/drawback benefit/disadvantage strength/weakness
    similarity/difference similar/different same/different positive/negative plus/minus
    multiply/divide addition/subtraction multiplication/division sum/difference sum/product
    sum/average mean/median mean/mode median/mode numerator/denominator integral/derivative
    integrate/differentiate even/odd true/false right/wrong right/left correct/incorrect
    legal/illegal safe/dangerous safe/unsafe allow/forbid allow/prevent allow/block
    accept/reject accept/decline approve/reject approve/deny grant/revoke permit/ban
    win/lose pass/fail success/failure succeed/fail support/oppose agree/disagree
    prove/disprove confirm/deny for/against favor/against favor/oppose with/without
    include/exclude all/none all/some all/any every/some always/never always/sometimes
    often/rarely everyone/nobody everything/nothing anything/nothing high/low higher/lower
    highest/lowest tall/short taller/shorter tallest/shortest long/short longer/shorter
    longest/shortest short/detailed brief/detailed brief/long concise/detailed
    simple/detailed simple/complex simple/technical basic/advanced beginner/expert
    beginner/advanced junior/senior easy/hard easy/difficult easier/harder easiest/hardest
    big/small bigger/smaller biggest/smallest large/small larger/smaller largest/smallest
    wide/narrow thick/thin deep/shallow near/far nearest/farthest closest/farthest
    closest/furthest fast/slow faster/slower fastest/slowest accelerate/decelerate old/new
    old/young older/younger oldest/youngest oldest/newest ancient/modern past/future
    latest/oldest hot/cold hotter/colder hottest/coldest warm/cool warm/cold warmer/cooler
    warmest/coldest heat/cool freeze/melt freezing/boiling freeze/boil wet/dry full/empty
    fill/empty heavy/light heaviest/lightest bright/dark light/dark strong/weak
    strongest/weakest loud/quiet hard/soft rough/smooth sharp/blunt clean/dirty rich/poor
    richest/poorest cheap/expensive cheaper/costlier cheapest/dearest happy/sad happy/angry
    healthy/unhealthy alive/dead live/die birth/death born/die war/peace day/night
    morning/evening sunrise/sunset summer/winter north/south east/west northern/southern
    eastern/western top/bottom front/back frontend/backend forward/backward
    clockwise/counterclockwise clockwise/anticlockwise horizontal/vertical row/column
    ascending/descending asc/desc upper/lower uppercase/lowercase above/below over/under
    inside/outside internal/external indoor/outdoor public/private local/remote local/global
    online/offline static/dynamic mutable/immutable synchronous/asynchronous sync/async
    serial/parallel single/multiple singular/plural single/married manual/automatic
    formal/informal formal/casual polite/rude serious/funny active/passive rural/urban
    domestic/foreign natural/artificial vegetarian/vegan raw/cooked sweet/sour liquid/solid
    liquid/gas acid/base supply/demand debit/credit asset/liability income/expense
    profit/loss gross/net deposit/withdraw deposit/withdrawal bull/bear fixed/variable
    prefix/suffix introduction/conclusion virus/bacterium odd/even ascend/descend
    attack/defend attack/defense save/spend save/discard stay/leave avoid/take avoid/eat
    avoid/use keep/remove keep/delete keep/discard wake/sleep marry/divorce hire/fire
    remember/forget laugh/cry ally/enemy friend/enemy vertex/edge encoder/decoder
    client/provider majority/minority major/minor primary/secondary optimist/pessimist
    introvert/extrovert amateur/professional adult/child adult/kid human/animal
    hardware/software ceiling/floor tighten/loosen inhale/exhale inflate/deflate
    inflation/deflation evaporate/condense evaporation/condensation ascent/descent
    credit/debit tcp/udp inner/outer interior/exterior prosecution/defense offense/defense
    theory/practice quantity/quality qualitative/quantitative temporary/permanent
    personal/professional individual/group shallow/deep stateful/stateless strict/loose
    optional/required optional/mandatory inclusive/exclusive absolute/relative
    direct/indirect explicit/implicit sequential/random sorted/unsorted forward/reverse
    hit/miss sink/float slow/quick
    teach/learn upside/downside strengthen/weaken fill/drain earn/owe lend/owe
    """
)
# Any two of these exclude each other as much as opposites do.
RIVALS: Final = _groups(
    """
    hard/soft/mixed encrypt/decrypt/sign/verify/hash add/subtract/multiply/divide
    mean/median/mode/variance create/read/update/delete get/post/put/patch/delete
    mild/moderate/severe bronze/silver/gold/platinum small/medium/large
    child/teenager/adult/senior kid/teenager/adult/senior toddler/child/teenager/adult
    beginner/intermediate/advanced beginner/intermediate/expert
    breakfast/lunch/dinner/supper/snack/brunch/dessert
    vegan/vegetarian/pescatarian/omnivore/carnivore/keto/paleo
    diabetic/vegetarian/vegan/celiac/pregnant spring/summer/autumn/winter
    north/south/east/west red/orange/yellow/green/blue/purple/pink/brown/black/white/gray
    solid/liquid/gas/plasma left/right/center past/present/future
    atleast/atmost/exactly/morethan/fewerthan car/bus/train/plane/bicycle/ferry
    undergraduate/graduate/doctoral bachelor/master/doctorate
    vegan/vegetarian/pescatarian/keto/paleo/halal/kosher/glutenfree/lowcarb/dairyfree/sugarfree
    diabetic/celiac/pregnant/lactose/gluten unemployed/retired/employed/selfemployed
    polite/angry/casual/sarcastic/serious/funny/sad/professional/humorous/formal
    friendly/angry/sarcastic/serious/formal primary/middle/secondary elementary/middle/highschool
    primary/highschool kindergarten/highschool/college bride/groom nephew/niece actor/actress
    second/minute/hour/day/week/month/quarter/year/decade/century
    state/country/county/city/continent
    tenant/employer plaintiff/judge juror/judge breakfast/lunch/dinner
    """
)
# The first stands for all of its group, in every place: only what may be exchanged without a
# second look.
SYNONYMS: Final = {
    other: group[0]
    for group in _groups(
        """
        start/begin/commence movie/film child/kid buy/purchase photo/photograph/picture
        car/automobile physician/doctor parcel/package happen/occur stop/quit/cease
        kill/terminate wifi/wlan phone/telephone/cellphone television/tv/telly bicycle/bike
        airplane/plane/aeroplane fast/quick/rapid/speedy quickly/rapidly lawyer/attorney
        error/mistake database/db application/app config/configuration repo/repository
        directory/folder argument/arg parameter/param variable/var environment/env function/func
        javascript/js typescript/ts python/py postgresql/postgres/psql kubernetes/k8s
        mongodb/mongo documentation/docs specification/spec info/information difference/diff
        maximum/max minimum/min average/avg versus/vs approximately/approx/roughly
        advertisement/ad/advert laboratory/lab exam/examination math/mathematics gym/gymnasium
        refrigerator/fridge influenza/flu government/govt department/dept garbage/trash/rubbish
        gasoline/petrol truck/lorry cookie/biscuit eggplant/aubergine zucchini/courgette
        cilantro/coriander diaper/nappy sidewalk/pavement sofa/couch assist/aid
        enormous/huge/gigantic tiny/minuscule big/large bigger/larger biggest/largest
        job/occupation repair/mend choose/select/pick convert/transform construct/build
        obtain/acquire password/passwd/pwd dedupe/deduplicate
        """
    )
    for other in group[1:]
}
# Near enough for a vote, not for equality: a model sees them as synonyms.
CLOSE: Final = _groups(
    """
    best/good/great/top/ideal way/method/approach/technique/step/process/procedure
    improve/boost/enhance/better/increase build/construct/create/make/develop
    make/create/generate/produce create/generate/write/compose/produce/build/make
    write/draft/compose cost/price/expense/charge fix/repair/solve/resolve/correct
    error/issue/problem/bug/mistake/fault reason/cause/why cause/make/lead/result
    consequence/effect/happen/result/outcome/impact purpose/goal/use/exist/aim/point
    change/update/modify/edit/alter change/difference change/switch/move/migrate
    update/upgrade move/migrate/transfer/upgrade delete/remove/erase/drop/clear/eliminate
    remove/eliminate/rid/dedupe cancel/stop/end/terminate show/display/print/see/view
    see/check/view/find/look check/verify/validate/test/proofread learn/study
    teach/explain start/begin/launch/create/open get/obtain/receive/acquire
    get/reach/contact/touch contact/reach/call use/utilize/employ/apply/used use/replace
    work/function/operate big/large/great/huge old/age tall/height/high far/distance
    long/length/lifespan/duration live/lifespan/life deep/depth wide/width heavy/weight
    fast/speed/quick warm/temperature/hot cold/temperature expensive/cost/price
    populous/people/population people/person/human/someone
    main/major/primary/chief/key/mainly/important tip/idea/suggestion/advice/way
    suggest/recommend/propose/advise idea/suggestion example/instance/sample
    simple/easy/plain/basic term/word fast/quick/rapid/soon buy/purchase/get sell/sale
    company/firm/business/corporation ceo/chief/executive/head boss/manager
    employee/worker/staff house/home kid/child movie/film picture/image/photo shop/store
    customer/client/user support/service/help promo/discount/coupon/voucher
    parcel/package/delivery/order/shipment track/follow crash/fail/break
    recover/reset/restore/forgot/forgotten enter/put/input/type offer/have/provide
    trial/demo lower/reduce/decrease raise/increase raise/pay speak/talk/language/spoken
    say/speak/translate/mean say/translate run/execute run/lead kill/terminate/stop/end
    set/define/configure list/array directory/folder disk/storage/space string/text
    text/message/sms function/method command/instruction branch/fork undo/revert/unstage
    parse/handle/process/read ssh/key symptom/sign illness/disease/sickness
    drug/medicine/medication doctor/physician treat/cure/heal/treatment safe/secure
    protect/secure/prevent avoid/prevent/stop win/winner/champion/title win/won
    found/founder/establish/create/start invent/inventor discover/discovery/find
    paint/painter/painting author/write/writer birthplace/born capital/city
    country/nation/state currency/money money/cash/fund/income earn/make save/spend
    job/career/work/profession study/education/learn school/college/university exam/test
    mean/definition/meaning/define/stand define/definition describe/explain/outline
    compare/comparison/difference/versus/contrast summary/summarize greeting/message/wish
    poem/verse recipe/cook/make/prepare cook/prepare/make eat/food/diet/meal
    trip/travel/journey/visit weather/climate/forecast world/earth/global great/famous
    beautiful/pretty smart/intelligent/clever happy/glad weird/strange/odd scary/frightening
    possible/can/able necessary/need/required/must keep/stay/continue
    join/merge/combine/concatenate split/divide/separate count/number center/align/middle
    copy/duplicate find/search/locate/look install/setup/set connect/link login/sign
    password/passcode account/profile picture/logo quick/fast frequently/often
    every/each/all per/every
    """
)
