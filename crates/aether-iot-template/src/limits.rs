//! Names and texts of the device registry and how long they may be (sheet, 1.6).

/// Longest template body, in characters.
pub const MAX_TEMPLATE_CHARS: usize = 10_240;
/// Longest name of a parameter, in characters.
pub const MAX_PARAMETER_NAME_CHARS: usize = 2_048;
/// Longest value of a parameter, in characters.
pub const MAX_PARAMETER_VALUE_CHARS: usize = 4_096;
/// Attributes a Thing without a thing type may have.
pub const MAX_ATTRIBUTES_WITHOUT_TYPE: usize = 3;
/// Attributes a Thing with a thing type may have.
pub const MAX_ATTRIBUTES_WITH_TYPE: usize = 50;
/// Longest policy document in characters, white space not counted.
pub const MAX_POLICY_CHARS: usize = 2_048;
/// Longest certificate signing request, in characters.
pub(crate) const MAX_CSR_CHARS: usize = 4_096;
/// Longest certificate in PEM form, in characters.
pub(crate) const MAX_PEM_CHARS: usize = 65_536;

/// A rule for a text: which characters, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    least: usize,
    most: usize,
    /// Marks allowed beside ASCII letters and digits; `None` allows every character.
    marks: Option<&'static str>,
    /// The rule in words, for error messages.
    pub(crate) words: &'static str,
}

impl Rule {
    pub(crate) const REGISTRY_NAME: Self =
        Self { least: 1, most: 128, marks: Some(":_-"), words: "1 to 128 of a-z A-Z 0-9 : _ -" };
    pub(crate) const ATTRIBUTE_NAME: Self =
        Self { least: 1, most: 128, marks: Some("_.,@/:#-"), words: "1 to 128 of a-z A-Z 0-9 _ . , @ / : # -" };
    pub(crate) const ATTRIBUTE_VALUE: Self = Self {
        least: 0,
        most: 800,
        marks: Some("_.,@/:#=[]-"),
        words: "at most 800 of a-z A-Z 0-9 _ . , @ / : # = [ ] - (no spaces)",
    };
    pub(crate) const POLICY_NAME: Self =
        Self { least: 1, most: 128, marks: Some("_+=,.@-"), words: "1 to 128 of a-z A-Z 0-9 _ + = , . @ -" };
    pub(crate) const CSR: Self = Self {
        least: 1,
        most: MAX_CSR_CHARS,
        marks: None,
        words: "a certificate signing request of 1 to 4096 characters",
    };
    pub(crate) const PEM: Self =
        Self { least: 1, most: MAX_PEM_CHARS, marks: None, words: "a certificate of 1 to 65536 characters" };

    /// Whether `text` keeps the rule.
    pub(crate) fn holds(self, text: &str) -> bool {
        let fits = match self.marks {
            None => true,
            Some(marks) => text.chars().all(|character| character.is_ascii_alphanumeric() || marks.contains(character)),
        };
        fits && (self.least..=self.most).contains(&text.chars().count())
    }
}

/// `text` for an error message: quoted, escaped and cut after 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}… ({} characters)", &text[..end], text.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_held_to_their_characters_and_lengths() {
        for (rule, good, bad) in [
            (Rule::REGISTRY_NAME, "line7:press_3-A", "press 3"),
            (Rule::REGISTRY_NAME, "x", ""),
            (Rule::ATTRIBUTE_NAME, "a_.,@/:#-", "a="),
            (Rule::ATTRIBUTE_VALUE, "", "two words"),
            (Rule::ATTRIBUTE_VALUE, "a=[1]#", "ü"),
            (Rule::POLICY_NAME, "p_+=,.@-", "p/q"),
        ] {
            assert!(rule.holds(good), "{good:?}");
            assert!(!rule.holds(bad), "{bad:?}");
        }
        assert!(Rule::REGISTRY_NAME.holds(&"a".repeat(128)));
        assert!(!Rule::REGISTRY_NAME.holds(&"a".repeat(129)));
        assert!(Rule::ATTRIBUTE_VALUE.holds(&"a".repeat(800)));
        assert!(!Rule::ATTRIBUTE_VALUE.holds(&"a".repeat(801)));
    }

    #[test]
    fn long_texts_are_cut_in_messages() {
        assert_eq!(quoted("ä\n"), "\"ä\\n\"");
        assert!(quoted(&"ä".repeat(5000)).len() < 300);
    }
}
