#!/bin/sh
# Write the homes of a new network: miners miner-1 to miner-N and a coordinator with coins, all with
# one genesis.json. Do nothing if the network exists. compose.yaml runs this script.
# Usage: found_network.sh [FOLDER] [MINERS]   (default: the current folder, 4 miners)
set -eu

folder=${1:-.}
miners=${2:-4}

mkdir -p "$folder"
cd "$folder"
if [ -e coordinator/genesis.json ]; then
    echo "the network exists already"
    exit 0
fi

# Print the field $2 of the key in the home $1.
field() {
    fedcoin-node keys show node --home "$1" --json | sed -n "s/.*\"$2\": *\"\([^\"]*\)\".*/\1/p"
}

fedcoin-node keys new node --no-encrypt --home coordinator
set -- --account "$(field coordinator address)=10000fdc"
for i in $(seq 2 "$miners"); do
    fedcoin-node keys new node --no-encrypt --home "miner-$i"
    set -- "$@" --validator "$(field "miner-$i" public_key)=1000fdc"
    set -- "$@" --account "$(field "miner-$i" address)=1000fdc"
done
fedcoin-node init --no-encrypt --home miner-1 --chain-id fedcoin-compose "$@"
seed="$(field miner-1 public_key)@miner-1:7050"
for i in $(seq 2 "$miners"); do
    fedcoin-node init --no-encrypt --home "miner-$i" --genesis miner-1/genesis.json --seed "$seed"
done
# The coordinator's home comes last: a network exists once it has a genesis.
fedcoin-node init --no-encrypt --home coordinator --genesis miner-1/genesis.json
