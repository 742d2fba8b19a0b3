//! Configurations with differences: a line that begins with `@flag ` is there only if the flag is,
//! one with `@!flag ` only if it is not, and `{name}` is a value.

/// What a template says with these flags and values.
pub(super) fn render(template: &str, flags: &[&str], values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for line in template.lines().filter_map(|line| kept(line, flags)) {
        text.push_str(line);
        text.push('\n');
    }
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

/// What remains of a line, if it is there at all.
fn kept<'a>(mut line: &'a str, flags: &[&str]) -> Option<&'a str> {
    while let Some((flag, rest)) = line.strip_prefix('@').and_then(|it| it.split_once(' ')) {
        let there = match flag.strip_prefix('!') {
            Some(flag) => !flags.contains(&flag),
            None => flags.contains(&flag),
        };
        if !there {
            return None;
        }
        line = rest;
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn lines_are_kept_by_their_flags() {
        let template = "a {port}\n@log b\n@!log   c\n@!log @big d { e }\n";
        let values = [("port", "80".to_owned())];
        assert_eq!(render(template, &["log"], &values), "a 80\nb\n");
        assert_eq!(render(template, &["big"], &values), "a 80\n  c\nd { e }\n");
    }
}
