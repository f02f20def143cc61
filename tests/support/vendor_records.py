"""Records as the vendors' APIs write them: `number` tells them apart, `when` is a moment with its zone."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

MOSCOW = timezone(timedelta(hours=3))
Record = dict[str, Any]

MORNING = datetime(2026, 11, 20, 7, 5, 20, tzinfo=UTC)
SITE = "https://okna.example"
ENTRY = f"{SITE}/okna?utm_source=yandex&utm_medium=cpc&utm_campaign=moskva&utm_content=123&utm_term=пластиковые+окна"
TAGS = {
    "utmSource": "yandex",
    "utmMedium": "cpc",
    "utmCampaign": "moskva",
    "utmContent": "123",
    "utmTerm": "пластиковые окна",
}


def mango_call(number: int = 1, when: datetime = MORNING, **fields: Any) -> Record:
    start, end = (moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ") for moment in (when, when + timedelta(minutes=3)))
    return {
        "callId": f"MToxMDA{number}",
        "dateStart": start,
        "dateEnd": end,
        "callType": 1,
        "callStatus": 1100,
        "number": 74951234567,
        "callerNumber": 79160000000 + number,
        "duration": 134,
        "waitDuration": 12,
        "isNew": True,
        "isQuality": True,
        "isDuplicate": False,
        "uid": f"mango-visitor-{number}",
        "gaCid": f"1234567890.{1700000000 + number}",
        "yaCid": str(1700000000123456789 + number),
        **TAGS,
        "countryCode": "RU",
        "regionCode": "RU-MOW",
        "city": "Москва",
        "device": "mobile",
        "ip": "203.0.113.7",
        "url": f"{SITE}/kontakty",
        "firstUrl": ENTRY,
        "customParam": "",
    } | fields


def calltouch_visit(number: int = 1, when: datetime = MORNING, **fields: Any) -> Record:
    return {
        "sessionId": 500000 + number,
        "sessionDate": when.astimezone(MOSCOW).strftime("%d/%m/%Y %H:%M:%S"),
        "source": "yandex",
        "medium": "cpc",
        **TAGS,
        "url": ENTRY,
        "ref": "https://yandex.ru/",
        "keyword": "пластиковые окна",
        "city": "Санкт-Петербург",
        "guaClientId": f"1234567890.{1700000000 + number}",
        "ctClientId": 900000 + number,
    } | fields


def calltouch_call(number: int = 1, when: datetime = MORNING, **fields: Any) -> Record:
    visit = calltouch_visit(number, when - timedelta(minutes=20))
    return {
        "callId": str(700000 + number),
        "date": when.astimezone(MOSCOW).strftime("%d/%m/%Y %H:%M:%S"),
        "duration": "134",
        "callerNumber": str(79160000000 + number),
        "phoneNumber": "74951234567",
        "uniqueCall": "true",
        "city": visit["city"],
        "source": "yandex",
        "medium": "cpc",
        "keyword": "<не указано>",
        "url": ENTRY,
        "callUrl": f"{SITE}/kontakty",
        "ref": "https://yandex.ru/",
        **TAGS,
        "sessionId": visit["sessionId"],
        "clientId": visit["guaClientId"],
        "yaClientId": str(1700000000123456789 + number),
        "ctClientId": visit["ctClientId"],
        "mapVisits": [visit],
    } | fields


def calltouch_form(number: int = 1, when: datetime = MORNING, **fields: Any) -> Record:
    visit = calltouch_visit(number, when - timedelta(minutes=20))
    return {
        "requestId": 800000 + number,
        "requestNumber": f"site-{number}",
        "date": int(when.timestamp() * 1000),
        "dateStr": when.astimezone(MOSCOW).strftime("%d/%m/%Y %H:%M:%S"),
        "subject": "Заказать замер",
        "client": {
            "fio": "Мария Ёлкина",
            "phones": [{"phoneNumber": str(79160000000 + number), "phoneType": "MOBILE"}],
            "contacts": [{"contactType": "EMAIL", "contactValue": f"client{number}@example.com"}],
        },
        "session": visit,
        "ctClientId": visit["ctClientId"],
        "mapVisits": [visit],
    } | fields


def metrica_visit(number: int = 1, when: datetime = MORNING, **fields: Any) -> Record:
    """Names in `fields` go without `ym:s:`."""
    # The counter is in Moscow, and the time that is called UTC is documented as UTC+3.
    moment = when.astimezone(MOSCOW).strftime("%Y-%m-%d %H:%M:%S")
    visit = {
        "visitID": 7000000000000000000 + number,
        "clientID": 1700000000123456789 + number,
        "dateTime": moment,
        "dateTimeUTC": moment,
        "startURL": ENTRY,
        "endURL": f"{SITE}/kontakty",
        "pageViews": 3,
        "visitDuration": 95,
        "isNewUser": 1,
        "referer": "https://yandex.ru/",
        "UTMSource": "yandex",
        "UTMMedium": "cpc",
        "UTMCampaign": "moskva",
        "UTMContent": "123",
        "UTMTerm": "пластиковые окна",
        "regionCity": "Москва",
        "deviceCategory": "1",
        "goalsID": [101, 102],
        "watchIDs": [8000000000000000000 + number],
    }
    return {f"ym:s:{name}": value for name, value in (visit | fields).items()}
