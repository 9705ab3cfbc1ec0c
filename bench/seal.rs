//! A server for `seal.sh`: as the program is, or with a seal that leaves everything in clear, which
//! nothing else can be told to use. Arguments: `sealed` or `null`, the data directory, the address.

use std::error::Error;

use cardkeep::config::Config;
use cardkeep::server::boot;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|given| given != "--bench").collect();
    let [seal, data, listen] = arguments.as_slice() else {
        return Err("give `sealed` or `null`, a data directory and an address; bench/seal.sh does".into());
    };
    let mut config = Config::default();
    config.store.null_seal = match seal.as_str() {
        "sealed" => false,
        "null" => true,
        _ => return Err("the first argument is `sealed` or `null`".into()),
    };
    config.server.data = data.into();
    config.server.listen = listen.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(boot::serve(config, true))?)
}
