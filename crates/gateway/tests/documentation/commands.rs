//! `docs/reference/commands.md`, made of the command line.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

const INTRODUCTION: &str = "\
# Commands

<!-- Made of the command line by `UPDATE_EXPECT=1 cargo test -p n8n-gateway --test documentation`. -->

The program's own help says the same: `n8n-gateway help`, `n8n-gateway bans add --help`. Commands that ask a
running gateway find it through the policy: they read `listen.admin` in the file of `--config`.

| exit code | means |
|---|---|
| 0 | as it should be |
| 1 | your mistake, or a finding: the request would be refused, the address is not banned, something is wrong |
| 2 | an error: no gateway answers, a file cannot be read |
| 78 | the policy cannot be used |
";

fn text(said: Option<&clap::builder::StyledStr>) -> String {
    said.map(ToString::to_string).unwrap_or_default().replace('|', "\\|")
}

fn argument(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string);
    let value = value.filter(|_| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append));
    match (arg.get_long(), value) {
        (Some(long), Some(value)) => format!("`--{long} {value}`"),
        (Some(long), None) => format!("`--{long}`"),
        (None, _) => format!("`{}`", arg.get_id().as_str().to_uppercase()),
    }
}

fn row(arg: &Arg) -> String {
    let help = text(arg.get_long_help().or_else(|| arg.get_help())).replace('\n', " ");
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let shown = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let default = match defaults.first() {
        Some(first) if shown => format!("`{first}`"),
        Some(_) | None if arg.is_required_set() => "required".to_owned(),
        Some(_) | None => String::new(),
    };
    format!("| {} | {help} | {default} |\n", argument(arg))
}

fn section(command: &Command, name: &str, page: &mut String) {
    let about = text(command.get_long_about().or_else(|| command.get_about()));
    let children: Vec<_> = command
        .get_subcommands()
        .filter(|it| !it.is_hide_set() && it.get_name() != "help")
        .collect();
    writeln!(page, "\n## `{name}`\n\n{about}").unwrap();
    let own = children.is_empty() || !command.is_subcommand_required_set();
    let arguments: Vec<_> = command
        .get_arguments()
        .filter(|it| {
            own && !it.is_hide_set() && !["help", "version"].contains(&it.get_id().as_str())
        })
        .collect();
    if !arguments.is_empty() {
        page.push_str("\n| | | default |\n|---|---|---|\n");
        page.extend(arguments.iter().map(|it| row(it)));
    }
    for child in children {
        section(child, &format!("{name} {}", child.get_name()), page);
    }
}

#[test]
fn the_commands_are_fresh() {
    let mut command = n8n_gateway::cli::command_line();
    command.build();
    let mut page = INTRODUCTION.to_owned();
    for child in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        if child.get_name() != "help" {
            section(child, &format!("n8n-gateway {}", child.get_name()), &mut page);
        }
    }
    for told in ["## `n8n-gateway bans why`", "`--fail2ban`", "`--upload-size MIB`", "policy.yaml"]
    {
        assert!(page.contains(told), "{told}");
    }
    crate::is_fresh("docs/reference/commands.md", &page);
}
