//! The line by which a fenced command says that the fence has let it through.
//!
//! The fence's refusals are exit statuses, and what is called behind it, a site's own `CrunchRunCommand` for instance,
//! may end with any of them. So the fence prints this line on stderr right before it calls the command: with it a
//! status is the command's own, whatever it is, and only without it a status may be the fence's. No login shell prints
//! the line by chance.
//!
//! It owns the line. Never does: the meaning of a status.

use crate::ports::Output;

const WORD: &str = "fence-passed";

/// Shell text that prints it; `$2` and `$3` are the numbers of the mark.
pub(super) fn announcement() -> String {
    format!("echo \"{WORD} $2 $3\" >&2")
}

/// Whether the command that wrote this was called.
pub(super) fn has_passed(output: &Output) -> bool {
    output.stderr.split(|byte| *byte == b'\n').any(is_it)
}

/// What the command itself has written.
pub(super) fn without_line(mut output: Output) -> Output {
    if has_passed(&output) {
        let lines = output.stderr.split_inclusive(|byte| *byte == b'\n');
        output.stderr = lines.filter(|line| !is_it(line.trim_ascii_end())).flatten().copied().collect();
    }
    output
}

fn is_it(line: &[u8]) -> bool {
    let Some(numbers) = line.strip_prefix(WORD.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")) else {
        return false;
    };
    let mut numbers = numbers.split(|byte| *byte == b' ');
    let mut is_number =
        || numbers.next().is_some_and(|it| !it.is_empty() && it.iter().all(u8::is_ascii_digit));
    is_number() && is_number() && numbers.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stderr: &str) -> Output {
        Output { stderr: stderr.as_bytes().to_vec(), ..Output::default() }
    }

    #[test]
    fn the_line_is_found_among_others_and_taken_out() {
        let output = said("welcome\nfence-passed 12 7\nit failed\n");
        assert!(has_passed(&output));
        assert_eq!(without_line(output), said("welcome\nit failed\n"));
        assert_eq!(without_line(said("fence-passed 1 2")), said(""), "its end may be cut");
    }

    #[test]
    fn what_only_looks_like_it_is_not_it() {
        for text in [
            "",
            "fence-passed",
            "fence-passed 1",
            "fence-passed x 1",
            "fence-passed 1 2 3",
            "a fence-passed 1 2",
        ] {
            assert!(!has_passed(&said(text)), "{text}");
            assert_eq!(without_line(said(text)), said(text));
        }
    }
}
