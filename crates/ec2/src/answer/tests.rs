use dispatch_core::instance::Tags;
use proptest::prelude::*;

use super::*;

const INSTANCES: &str = include_str!("../tests/answers/instances.xml");
const PRICES: &str = include_str!("../tests/answers/prices.xml");
const RUN: &str = include_str!("../tests/answers/run.xml");

#[test]
fn a_listing_is_read_and_those_on_their_way_out_are_told_apart() {
    let (shown, next) = instances::page(INSTANCES).unwrap();
    let (mut listed, mut over) = (Vec::new(), Vec::new());
    for it in shown {
        match it {
            instances::Shown::Living(it) => listed.push(it),
            instances::Shown::Over { id, reason } => over.push((id.to_string(), reason)),
        }
    }
    let [booting, stopped] = listed.try_into().unwrap();
    assert_eq!(over, [("i-0bbb".to_owned(), String::new()), ("i-0ddd".to_owned(), String::new())]);
    assert_eq!(next, None);
    assert_eq!((booting.instance.id.as_str(), booting.instance.address.as_str()), ("i-0aaa", "10.0.0.12"));
    assert_eq!(booting.instance.provider_type.as_str(), "m5.large");
    assert_eq!(
        (booting.spot, booting.zone.as_str(), booting.subnet.as_str()),
        (true, "us-east-1a", "subnet-1")
    );
    let tags = [("ArvadosInstanceSetID", "set"), ("Owner", "lab <ü> & co"), ("Empty", "")];
    assert_eq!(
        booting.instance.tags,
        Tags(tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into())
    );
    assert_eq!((stopped.instance.id.as_str(), stopped.spot), ("i-0ccc", false));
    assert_eq!(stopped.instance.address, "", "what is no address is none");
}

#[test]
fn a_vm_without_ipv4_has_its_first_ipv6_address() {
    let of = |parts: &str| {
        let vm = format!(
            "<RunInstancesResponse><instancesSet><item><instanceId>i-1</instanceId><instanceType>m5.large\
             </instanceType><instanceState><name>pending</name></instanceState>{parts}</item></instancesSet>\
             </RunInstancesResponse>"
        );
        instances::created(&vm).unwrap().instance.address
    };
    let interface = |addresses: &str| {
        format!(
            "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><ipv6AddressesSet>{addresses}\
             </ipv6AddressesSet></item></networkInterfaceSet>"
        )
    };
    let address = |text: &str| {
        format!("<item><ipv6Address>{text}</ipv6Address><isPrimaryIpv6>false</isPrimaryIpv6></item>")
    };
    let two = interface(&[address("2600:1f13::a"), address("2600:1f13::b")].concat());
    assert_eq!(of(&two), "2600:1f13::a");
    assert_eq!(of(&format!("<ipv6Address>2600:1f13::c</ipv6Address>{two}")), "2600:1f13::c");
    assert_eq!(of(&format!("<privateIpAddress>10.0.0.1</privateIpAddress>{two}")), "10.0.0.1");
    assert_eq!(of(&interface("")), "");
    assert_eq!(of(&interface(&address("-oProxyCommand=x"))), "");
}

#[test]
fn the_vm_of_an_order_is_read() {
    assert_eq!(instances::created(RUN).unwrap().instance.id.as_str(), "i-0aaa");
    let none = "<RunInstancesResponse><instancesSet/></RunInstancesResponse>";
    assert!(instances::created(none).is_err());
}

#[test]
fn an_empty_cloud_says_so() {
    let empty =
        "<DescribeInstancesResponse><requestId>x</requestId><reservationSet/></DescribeInstancesResponse>";
    assert_eq!(instances::page(empty).unwrap(), (Vec::new(), None));
    assert!(instances::page("<DescribeInstancesResponse/>").is_err());
}

#[test]
fn the_reason_of_an_end_is_read_with_its_code_once() {
    for (reason, text) in [
        ("<code>Server.SpotInstanceTermination</code>", "Server.SpotInstanceTermination"),
        ("<code>Server.X</code><message>Server.X: taken back</message>", "Server.X: taken back"),
        ("<code>Client.X</code><message>disk is full</message>", "Client.X: disk is full"),
        ("<message>no code</message>", "no code"),
        ("", ""),
    ] {
        let reason = format!("<name>terminated</name></instanceState><stateReason>{reason}</stateReason>");
        let end = "<name>terminated</name>\n                    </instanceState>";
        let (shown, _) = instances::page(&INSTANCES.replace(end, &reason)).unwrap();
        let told = shown.into_iter().filter_map(|it| match it {
            instances::Shown::Over { id, reason } => Some(reason).filter(|_| id.as_str() == "i-0ddd"),
            instances::Shown::Living(_) => None,
        });
        assert_eq!(told.collect::<Vec<_>>(), [text]);
    }
}

#[test]
fn an_instance_without_a_name_fails_the_listing() {
    let nameless = INSTANCES.replace("<instanceId>i-0ccc</instanceId>", "");
    assert!(instances::page(&nameless).is_err());
    let empty = INSTANCES.replace("i-0ccc", "");
    assert!(instances::page(&empty).is_err());
}

#[test]
fn no_beginning_of_an_answer_is_taken_for_the_whole() {
    let whole = INSTANCES.trim_end().len();
    for length in (0..whole).filter(|length| INSTANCES.is_char_boundary(*length)) {
        assert!(instances::page(&INSTANCES[..length]).is_err(), "the first {length} bytes pass");
    }
}

#[test]
fn key_pairs_are_read() {
    let found = "<DescribeKeyPairsResponse><keySet><item><keyPairId>key-1</keyPairId><keyName>mine</keyName>\
        <keyFingerprint>aa:bb</keyFingerprint></item></keySet></DescribeKeyPairsResponse>";
    assert_eq!(key_pairs::found(found).unwrap().as_deref(), Some("mine"));
    assert_eq!(
        key_pairs::found("<DescribeKeyPairsResponse><keySet/></DescribeKeyPairsResponse>").unwrap(),
        None
    );
    let imported = "<ImportKeyPairResponse><keyName>new</keyName><keyFingerprint>aa</keyFingerprint></ImportKeyPairResponse>";
    assert_eq!(key_pairs::imported(imported).unwrap(), "new");
}

#[test]
fn prices_are_read_and_what_is_none_is_left_out() {
    let (prices, next) = prices::page(PRICES).unwrap();
    assert_eq!((prices.len(), next), (4, None));
    assert_eq!(prices[0].point.price.per_hour(), 0.0405);
}

#[test]
fn a_refusal_is_read_in_both_of_its_forms() {
    let ec2 = "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>Blocked</Code><Message>a &amp; b</Message>\
        </Error></Errors><RequestID>id-1</RequestID></Response>";
    let refusal = error::read(ec2).unwrap();
    assert_eq!(
        (refusal.code.as_str(), refusal.message.as_str(), refusal.request_id.as_str()),
        ("Blocked", "a & b", "id-1")
    );
    let gateway = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>m</Message></Error>\
        <RequestId>id-2</RequestId></ErrorResponse>";
    let refusal = error::read(gateway).unwrap();
    assert_eq!((refusal.code.as_str(), refusal.request_id.as_str()), ("Throttling", "id-2"));
}

#[test]
fn what_has_no_code_is_no_refusal() {
    let long = format!("<Response><Error><Code>{}</Code></Error></Response>", "A".repeat(100));
    let odd = "<Response><Error><Code>a b</Code></Error></Response>";
    for body in ["", "<html></html>", "Service Unavailable", "<Response><Errors/></Response>", odd, &long] {
        assert_eq!(error::read(body), None, "{body}");
    }
}

#[test]
fn hostile_documents_are_errors() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>\
        <DescribeInstancesResponse><reservationSet/><nextToken>&b;</nextToken></DescribeInstancesResponse>";
    assert!(instances::page(bomb).is_err());
    let deep = format!(
        "<DescribeInstancesResponse><reservationSet/>{}{}</DescribeInstancesResponse>",
        "<a>".repeat(200_000),
        "</a>".repeat(200_000)
    );
    instances::page(&deep).unwrap();
    let crossed = "<DescribeInstancesResponse><reservationSet></DescribeInstancesResponse></reservationSet>";
    assert!(instances::page(crossed).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,200}", at in 0..4000_usize) {
        let _ = (instances::page(&text), prices::page(&text), error::read(&text));
        let at = (0..=at.min(INSTANCES.len())).rev().find(|at| INSTANCES.is_char_boundary(*at)).unwrap_or(0);
        let spliced = format!("{}{text}{}", &INSTANCES[..at], &INSTANCES[at..]);
        let _ = instances::page(&spliced);
    }
}
