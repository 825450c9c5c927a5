//! The little that is read of guests' descriptions before the library sees them: whether they ask for what there is. Total, and pure.

/// Larger descriptions are refused unread. A browser's, with all of its codecs, has 8 kB.
pub(crate) const MOST_BYTES: usize = 48 * 1024;
/// More media sections are refused: each costs the library a transceiver.
const MOST_SECTIONS: usize = 8;
/// More candidates in a description are refused: each costs checks with each of our addresses.
const MOST_CANDIDATES: usize = 64;

/// Why a guest's description is not taken. In words for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("the session description is longer than {MOST_BYTES} bytes")]
    TooLarge,
    #[error("the session description has more than {MOST_SECTIONS} media sections")]
    TooManySections,
    #[error("the session description has more than {MOST_CANDIDATES} candidates")]
    TooManyCandidates,
    #[error("the offer asks for no pictures: it needs a video section that is recvonly or sendrecv")]
    NoPictures,
    #[error("the offer has no H.264, which is all that there is here")]
    NoH264,
    #[error("the answer declines the pictures")]
    Declined,
}

/// A media section, as far as it matters.
struct Section<'a> {
    kind: &'a str,
    is_declined: bool,
    receives: bool,
    has_h264: bool,
}

/// Checks an offer: that it is of a sensible size and asks for pictures that there are.
pub(crate) fn check_offer(sdp: &str) -> Result<(), Error> {
    let sections = sections(sdp)?;
    let wanted = |section: &&Section| section.kind == "video" && !section.is_declined && section.receives;
    match sections.iter().find(wanted) {
        None => Err(Error::NoPictures),
        Some(section) if !section.has_h264 => Err(Error::NoH264),
        Some(_) => Ok(()),
    }
}

/// Checks an answer in the same way.
pub(crate) fn check_answer(sdp: &str) -> Result<(), Error> {
    let sections = sections(sdp)?;
    match sections.iter().find(|section| section.kind == "video") {
        Some(section) if !section.is_declined && section.receives => Ok(()),
        _ => Err(Error::Declined),
    }
}

/// Where candidates of our description belong: the `a=mid` of its pictures, and the place of their section.
pub(crate) fn place(sdp: &str) -> (Option<String>, u16) {
    let (mut at, mut sections) = (None, 0_u16);
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            if at.is_some() {
                break;
            }
            let mut words = media.split(' ');
            at = (words.next() == Some("video") && words.next() != Some("0")).then_some(sections);
            sections = sections.saturating_add(1);
        } else if let (Some(at), Some(mid)) = (at, line.strip_prefix("a=mid:")) {
            return (Some(mid.to_owned()), at);
        }
    }
    (None, at.unwrap_or(0))
}

fn sections(sdp: &str) -> Result<Vec<Section<'_>>, Error> {
    if sdp.len() > MOST_BYTES {
        return Err(Error::TooLarge);
    }
    // What stands above the first section holds for all that say nothing (RFC 8866, section 6.7); the default is sendrecv.
    let (mut receives, mut candidates) = (true, 0);
    let mut sections: Vec<Section> = Vec::new();
    for line in sdp.lines().map(str::trim) {
        if let Some(media) = line.strip_prefix("m=") {
            if sections.len() >= MOST_SECTIONS {
                return Err(Error::TooManySections);
            }
            let mut words = media.split(' ');
            let (kind, port) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            sections.push(Section { kind, is_declined: port == "0", receives, has_h264: false });
            continue;
        }
        let Some(attribute) = line.strip_prefix("a=") else { continue };
        let section = sections.last_mut();
        match attribute {
            "sendrecv" | "recvonly" => *section.map_or(&mut receives, |section| &mut section.receives) = true,
            "sendonly" | "inactive" => *section.map_or(&mut receives, |section| &mut section.receives) = false,
            _ if attribute.starts_with("candidate:") => {
                candidates += 1;
                if candidates > MOST_CANDIDATES {
                    return Err(Error::TooManyCandidates);
                }
            }
            _ => {
                let codec = attribute.strip_prefix("rtpmap:").and_then(|map| map.split_once(' '));
                if let (Some(section), Some((_, codec))) = (section, codec) {
                    section.has_h264 |= codec.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("H264/"));
                }
            }
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sdp(sections: &[(&str, &[&str])]) -> String {
        let mut text = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n".to_owned();
        for (media, attributes) in sections {
            text += &format!("m={media}\r\n");
            attributes.iter().for_each(|attribute| text += &format!("a={attribute}\r\n"));
        }
        text
    }

    const VIDEO: &str = "video 9 UDP/TLS/RTP/SAVPF 96 102";
    const AUDIO: &str = "audio 9 UDP/TLS/RTP/SAVPF 111";
    const H264: &str = "rtpmap:102 H264/90000";

    #[test]
    fn offers_that_ask_for_pictures() {
        for (what, offer, verdict) in [
            ("receives", sdp(&[(VIDEO, &[H264, "recvonly"])]), Ok(())),
            ("says nothing of direction", sdp(&[(VIDEO, &[H264])]), Ok(())),
            ("would send, too", sdp(&[(VIDEO, &["sendrecv", H264])]), Ok(())),
            ("with sound", sdp(&[(AUDIO, &["recvonly"]), (VIDEO, &[H264, "recvonly"])]), Ok(())),
            ("only sends", sdp(&[(VIDEO, &[H264, "sendonly"])]), Err(Error::NoPictures)),
            ("one of two receives", sdp(&[(VIDEO, &[H264, "sendonly"]), (VIDEO, &["recvonly", H264])]), Ok(())),
            ("declined", sdp(&[("video 0 UDP/TLS/RTP/SAVPF 102", &[H264, "recvonly"])]), Err(Error::NoPictures)),
            ("sound only", sdp(&[(AUDIO, &["recvonly"])]), Err(Error::NoPictures)),
            ("another codec", sdp(&[(VIDEO, &["rtpmap:96 VP8/90000", "recvonly"])]), Err(Error::NoH264)),
            ("inactive for all", format!("a=inactive\r\n{}", sdp(&[(VIDEO, &[H264])])), Err(Error::NoPictures)),
            ("nothing", String::new(), Err(Error::NoPictures)),
            ("too many sections", sdp(&[(VIDEO, &[H264][..]); 9]), Err(Error::TooManySections)),
            ("too many candidates", sdp(&[(VIDEO, &["candidate:1 1 udp"; 65][..])]), Err(Error::TooManyCandidates)),
            ("too long", " ".repeat(MOST_BYTES + 1), Err(Error::TooLarge)),
        ] {
            assert_eq!(check_offer(&offer), verdict, "{what}");
        }
    }

    #[test]
    fn answers_that_take_pictures() {
        for (answer, verdict) in [
            (sdp(&[(VIDEO, &["recvonly"])]), Ok(())),
            (sdp(&[(VIDEO, &["inactive"])]), Err(Error::Declined)),
            (sdp(&[("video 0 UDP/TLS/RTP/SAVPF 0", &[])]), Err(Error::Declined)),
            (sdp(&[]), Err(Error::Declined)),
        ] {
            assert_eq!(check_answer(&answer), verdict, "{answer}");
        }
    }

    #[test]
    fn candidates_belong_to_the_pictures() {
        let offer = sdp(&[(VIDEO, &["mid:0"])]);
        assert_eq!(place(&offer), (Some("0".into()), 0));
        let answer = sdp(&[("audio 0 RTP/AVP 0", &["mid:a"]), (VIDEO, &["mid:v"]), (VIDEO, &["mid:w"])]);
        assert_eq!(place(&answer), (Some("v".into()), 1));
        assert_eq!(place("m=video 9"), (None, 0));
        assert_eq!(place(""), (None, 0));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*", tail in "((m=|a=)[^\n]{0,40}\n){0,12}") {
            let sdp = format!("{text}\n{tail}");
            let _ = (check_offer(&sdp), check_answer(&sdp), place(&sdp));
        }
    }
}
