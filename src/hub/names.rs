//! Names for rooms that can be read out on the telephone.

use rand::seq::IndexedRandom;

/// Words that are told apart on a bad line and spelt by everybody: two syllables or three, no two alike, nothing to be ashamed of.
const WORDS: [&str; 128] = [
    "acorn", "almond", "amber", "anchor", "apple", "april", "arrow", "autumn", "badger", "balcony", "bamboo", "banana",
    "barrel", "basket", "beaver", "bicycle", "bishop", "blanket", "bottle", "bridge", "bronze", "button", "cabin",
    "camel", "candle", "canyon", "carpet", "castle", "cherry", "chimney", "cinema", "clover", "coffee", "comet",
    "copper", "cotton", "cousin", "crystal", "dancer", "desert", "dolphin", "donkey", "dragon", "eagle", "echo",
    "elbow", "emerald", "engine", "falcon", "feather", "ferry", "fiddle", "flamingo", "forest", "fountain", "galaxy",
    "garden", "ginger", "giraffe", "glacier", "guitar", "hammer", "harbour", "hazel", "honey", "horizon", "igloo",
    "island", "ivory", "jacket", "jasmine", "jungle", "kettle", "kitchen", "koala", "ladder", "lantern", "lemon",
    "library", "lobster", "magnet", "mango", "maple", "marble", "meadow", "melon", "mirror", "monkey", "mountain",
    "museum", "needle", "nutmeg", "oasis", "ocean", "olive", "orange", "orchard", "otter", "panda", "paper", "parrot",
    "pebble", "pepper", "piano", "pigeon", "pilot", "planet", "pocket", "pumpkin", "puzzle", "quarry", "rabbit",
    "rainbow", "ribbon", "river", "rocket", "saddle", "salmon", "silver", "spider", "sugar", "sunday", "temple",
    "thunder", "tiger", "tunnel", "velvet", "window",
];

/// `amber-tiger-4711-otter`: 34 bits, which nobody guesses at a hub that takes twenty messages a second. Nothing is kept of it: a room is there as
/// soon as somebody is in it.
pub fn room() -> String {
    let mut random = rand::rng();
    let mut word = || WORDS.choose(&mut random).copied().unwrap_or("room");
    let (first, second, third) = (word(), word(), word());
    format!("{first}-{second}-{:04}-{third}", rand::random_range(0..10_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_differ_in_how_they_begin() {
        let beginnings: HashSet<_> = WORDS.iter().map(|word| &word[..3]).collect();
        assert!(beginnings.len() > 115, "{}", beginnings.len());
        assert!(WORDS.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()) && word.len() >= 4));
        assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), WORDS.len());
    }

    #[test]
    fn names_hardly_ever_come_twice() {
        // Of 34 bits: two of ten thousand are the same in one run of four hundred, five pairs in none.
        let names: HashSet<_> = (0..10_000).map(|_| room()).collect();
        assert!(names.len() > 9_995, "{}", names.len());
        assert!(names.iter().all(|name| name.len() <= crate::hub::message::LONGEST_NAME));
    }
}
