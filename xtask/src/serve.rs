//! `cargo xtask serve`: a folder with the headers that a page needs for shared memory.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use crate::kit::{self, fail, server};

pub(crate) fn command() -> Command {
    let folder = Arg::new("folder").value_name("DIR").required(true).value_parser(clap::value_parser!(PathBuf));
    let port =
        Arg::new("port").long("port").value_name("PORT").default_value("8080").value_parser(clap::value_parser!(u16));
    Command::new("serve")
        .about("Serves a folder on this machine, with the headers that make its pages cross-origin isolated")
        .arg(folder.help("The folder"))
        .arg(port.help("The port"))
}

pub(crate) fn run(arguments: &ArgMatches) -> kit::Result<()> {
    let folder = arguments.get_one::<PathBuf>("folder").cloned().unwrap_or_default();
    if !folder.is_dir() {
        return Err(fail(format!("{} is no folder", folder.display())));
    }
    let serving = server::serve(&folder, arguments.get_one("port").copied().unwrap_or(8080))?;
    println!("{} is at {} (Ctrl-C ends it)", folder.display(), serving.url);
    loop {
        std::thread::park();
    }
}
