"""The fields of visits that Yandex Metrica's Logs API documents, without `ym:s:`, and how their names say an attribution."""

import re

ATTRIBUTIONS = (
    "first",
    "last",
    "lastsign",
    "last_yandex_direct_click",
    "cross_device_first",
    "cross_device_last",
    "cross_device_last_significant",
    "cross_device_last_yandex_direct_click",
    "automatic",
)
# With an attribution in their names: `ym:s:lastUTMSource`; `ym:s:<attribution>UTMSource` is of the one that a parameter says.
ATTRIBUTED = frozenset(
    [
        "TrafficSource",
        "AdvEngine",
        "ReferalSource",
        "SearchEngineRoot",
        "SearchEngine",
        "SocialNetwork",
        "SocialNetworkProfile",
        "DirectClickOrder",
        "DirectBannerGroup",
        "DirectClickBanner",
        "DirectClickOrderName",
        "ClickBannerGroupName",
        "DirectClickBannerName",
        "DirectPhraseOrCond",
        "DirectPlatformType",
        "DirectPlatform",
        "DirectConditionType",
        "CurrencyID",
        "UTMCampaign",
        "UTMContent",
        "UTMMedium",
        "UTMSource",
        "UTMTerm",
        "openstatAd",
        "openstatCampaign",
        "openstatService",
        "openstatSource",
        "hasGCLID",
        "GCLID",
        "RecommendationSystem",
        "Messenger",
    ]
)
_PRODUCT = (
    "Brand Category Category1 Category2 Category3 Category4 Category5 Variant Position Price Currency Coupon Quantity"
)
PLAIN = frozenset(
    f"""
    visitID counterID watchIDs date dateTime dateTimeUTC isNewUser startURL endURL pageViews visitDuration bounce ipAddress
    regionCountry regionCity regionCountryID regionCityID clientID counterUserIDHash networkType goalsID goalsSerialNumber
    goalsDateTime goalsPrice goalsOrder goalsCurrency referer from browserLanguage browserCountry clientTimeZone
    deviceCategory mobilePhone mobilePhoneModel operatingSystemRoot operatingSystem browser browserMajorVersion
    browserMinorVersion browserEngine browserEngineVersion1 browserEngineVersion2 browserEngineVersion3
    browserEngineVersion4 cookieEnabled javascriptEnabled screenFormat screenColors screenOrientation
    screenOrientationName screenWidth screenHeight physicalScreenWidth physicalScreenHeight windowClientWidth
    windowClientHeight purchaseID purchaseDateTime purchaseAffiliation purchaseRevenue purchaseTax purchaseShipping
    purchaseCoupon purchaseCurrency purchaseProductQuantity productsPurchaseID promotionID promotionName
    promotionCreative promotionPosition promotionCreativeSlot promotionEventTime promotionType impressionsURL
    impressionsDateTime offlineCallTalkDuration offlineCallHoldDuration offlineCallMissed offlineCallTag
    offlineCallFirstTimeCaller offlineCallURL eventsProductType
    {" ".join(f"parsedParamsKey{level}" for level in range(1, 11))}
    {
        " ".join(
            f"{kind}{name}"
            for kind in ("eventsProduct", "products", "impressionsProduct")
            for name in f"ID Name List EventTime Discount {_PRODUCT}".split()
        )
    }
    """.split()
) - {"impressionsProductPosition"}


def attribution_and_field(name: str) -> tuple[str | None, str] | None:
    """By which attribution a field is asked for, if by any, and the field. None if there is no such field."""
    plain = name.removeprefix("ym:s:")
    if plain == name:
        return None
    if plain in PLAIN:
        return None, plain
    found = re.fullmatch(rf"(<attribution>|{'|'.join(sorted(ATTRIBUTIONS, key=len, reverse=True))}|)(\w+)", plain)
    if found is None or found[2] not in ATTRIBUTED:
        return None
    return found[1] or "<attribution>", found[2]
