#!/bin/sh
# Installs the binary of rerankd for this user, after comparing its SHA-256 with the one of the release.
#
#   curl -fsSL https://github.com/rerankd/rerankd/releases/latest/download/install.sh | sh
#
# RERANKD_INSTALL_DIR   where the binary goes; ~/.local/bin without it
# RERANKD_VERSION       another version than the one that this script came with
# RERANKD_DOWNLOAD_URL  a mirror: the folder that holds the archives and SHA256SUMS
#
# It needs curl or wget, tar, and sha256sum or shasum. It changes no shell profile and asks for no password.
set -eu

# All of it is read before any of it runs: a download that breaks off installs nothing.
main() {
    version=${RERANKD_VERSION:-0.1.0}
    url=${RERANKD_DOWNLOAD_URL:-https://github.com/rerankd/rerankd/releases/download/v$version}
    directory=${RERANKD_INSTALL_DIR:-$HOME/.local/bin}
    archive=rerankd-$version-$(target).tar.gz

    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    download "$url/$archive" "$scratch/$archive"
    download "$url/SHA256SUMS" "$scratch/SHA256SUMS"

    wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$scratch/SHA256SUMS")
    [ -n "$wanted" ] || fail "SHA256SUMS of $version does not name $archive; nothing was installed"
    got=$(sha256 "$scratch/$archive")
    [ "$got" = "$wanted" ] || fail "$archive has the SHA-256 $got, the release has $wanted; nothing was installed. Try again, or report it"

    tar -xzf "$scratch/$archive" -C "$scratch"
    mkdir -p "$directory"
    # In one step: a server that runs from the old file goes on, and nobody meets half a file.
    cp "$scratch/${archive%.tar.gz}/rerankd" "$directory/.rerankd.new"
    chmod 755 "$directory/.rerankd.new"
    mv -f "$directory/.rerankd.new" "$directory/rerankd"

    "$directory/rerankd" --version
    echo "installed $directory/rerankd"
    case ":$PATH:" in
        *":$directory:"*) ;;
        *) echo "$directory is not in PATH; add it, or call $directory/rerankd" ;;
    esac
}

# What the release calls this system.
target() {
    case $(uname -s) in
        Linux) system=unknown-linux-musl ;;
        Darwin) system=apple-darwin ;;
        *) fail "there is no binary for $(uname -s) here; Windows has a zip file at the release, 'cargo install rerankd' builds one elsewhere" ;;
    esac
    case $(uname -m) in
        x86_64 | amd64) processor=x86_64 ;;
        aarch64 | arm64) processor=aarch64 ;;
        *) fail "there is no binary for the processor $(uname -m); 'cargo install rerankd' builds one" ;;
    esac
    echo "$processor-$system"
}

download() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 3 -o "$2" "$1" || fail "$1 could not be downloaded; curl says why above"
    elif command -v wget >/dev/null; then
        wget -q -O "$2" "$1" || fail "$1 could not be downloaded; wget says why above"
    else
        fail "neither curl nor wget is installed; install one of them"
    fi
}

sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1" | cut -d ' ' -f 1
    elif command -v shasum >/dev/null; then
        shasum -a 256 "$1" | cut -d ' ' -f 1
    else
        fail "neither sha256sum nor shasum is installed, so the download cannot be checked; install one of them"
    fi
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

main
