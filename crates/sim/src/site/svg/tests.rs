use super::*;

fn chart(title: &str, waiting: Vec<f64>) -> Chart {
    let zeros = vec![0.0; waiting.len()];
    Chart {
        title: title.to_owned(),
        note: "p50 1 s".to_owned(),
        curves: Curves {
            length: Duration::from_secs(7200),
            running: vec![1.0; waiting.len()],
            waiting,
            booting: zeros.clone(),
            idle: zeros.clone(),
            busy: zeros.clone(),
            per_hour: zeros,
        },
    }
}

#[test]
fn a_hostile_title_stays_text() {
    let svg = draw("a & b", &[chart("</svg><script>\"\u{1b}[2J\n", vec![1.0, 2.0])]);
    assert!(svg.contains(">a &amp; b<") && svg.contains(">&lt;/svg&gt;&lt;script&gt;&quot;[2J <"), "{svg}");
    assert_eq!(svg.matches("</svg>").count(), 1);
}

#[test]
fn charts_share_their_scales_and_have_legends_axes_and_titles() {
    let svg = draw("two", &[chart("one", vec![0.0, 3.0]), chart("other", vec![7.0, 1.0])]);
    // Eight containers at most, in the second chart: both axes end with eight.
    assert_eq!(svg.matches(">8<").count(), 2, "{svg}");
    for text in ["running", "waiting", "busy", "idle", "booting", "cost", "containers", "1 h", "p50 1 s"] {
        assert_eq!(svg.matches(&format!(">{text}<")).count(), 2, "{text}: {svg}");
    }
    assert!(svg.contains(">one<") && svg.contains(">other<") && svg.contains(">two<"));
}

#[test]
fn steps_go_up_and_down_at_right_angles() {
    let mut svg = String::new();
    steps(&mut svg, &[1.0, 3.0], |value| 100.0 - 10.0 * value, "red");
    assert_eq!(svg, "<path d=\"M80.0,100.0V90.0H460.0V70.0H840.0V100.0Z\" fill=\"red\"/>\n");
}

#[test]
fn a_picture_is_well_formed_xml() {
    use quick_xml::events::Event;
    let svg = draw("<&>\"'", &[chart("]]> & ä\u{0}", vec![1.0; 5]), chart("", vec![0.0; 5])]);
    let mut reader = quick_xml::Reader::from_str(&svg);
    reader.config_mut().enable_all_checks(true);
    let (mut depth, mut elements) = (0, 0);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                element.attributes().for_each(|it| drop(it.unwrap()));
                (depth, elements) = (depth + 1, elements + 1);
            }
            Event::Empty(element) => {
                element.attributes().for_each(|it| drop(it.unwrap()));
                elements += 1;
            }
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert!(elements > 50, "{elements}");
}
