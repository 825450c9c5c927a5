//! Two portals that do not reach each other meet through other people's machines: what works, and what whoever owns those machines can and cannot do.

use screen_portal::signaling::relay::Envelope;

mod attacks;
mod broker;
mod hub;
mod mosquitto;
mod portal;
mod proxy;

/// Every example of the documentation is what it says it is.
#[test]
fn the_documented_examples_are_real() {
    let text = std::fs::read_to_string("docs/signaling.md").unwrap();
    let chapter = text.split("\n# Through a hub or a broker\n").nth(1).unwrap().split("\n# ").next().unwrap();
    let examples: Vec<_> = chapter.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 3);
    for example in examples {
        let read = Envelope::parse(example).unwrap();
        let [again, wanted] =
            [&read.to_json(), example].map(|it| serde_json::from_str::<serde_json::Value>(it).unwrap());
        assert_eq!(again, wanted);
    }
}
