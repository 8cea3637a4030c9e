# shellcheck shell=bash
# Sourced: apt for the packages of an architecture that need not be this host's.
#
#   apt_for ARCH         which one the others are about, by the kernel's name
#   apt_get ARG...       apt-get; what it says is in $apt_log
#   apt_show ARG...      apt-cache show
#   apt_update           fresh lists; status 1 when only root could
#
# For this host's architecture it is the host's apt. For another one it has a
# configuration of its own below cache/ARCH/apt, with that as the only
# architecture and nothing installed: no foreign architecture is added to the
# host, and no root is needed. Sources and keys are the host's, so hashes are
# checked against signed lists all the same.

# apt_deb_arch ARCH: what Debian calls it.
apt_deb_arch() {
	case $1 in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*)
		echo "apt: no architecture '$1', there are: x86_64, aarch64" >&2
		return 2
		;;
	esac
}

apt_for() {
	deb_arch=$(apt_deb_arch "$1")
	apt_own=$PWD/cache/$1/apt
	apt_options=()
	apt_log=$apt_own/log/apt
	mkdir -p "$apt_own/log"
	if [[ $1 == "$(uname -m)" ]]; then
		return
	fi
	apt_separate
}

# Nothing of the host's but its sources, also where it is the same architecture.
apt_separate() {
	mkdir -p "$apt_own"/{state/lists/partial,cache/archives/partial}
	: >"$apt_own/status"
	cat >"$apt_own/conf" <<-END
		#clear APT::Architectures;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Post-Invoke;
		APT::Architecture "$deb_arch";
		APT::Architectures { "$deb_arch"; };
		Dir::State "$apt_own/state";
		Dir::State::status "$apt_own/status";
		Dir::Cache "$apt_own/cache";
		Dir::Log "$apt_own/log";
	END
	apt_options=(-c "$apt_own/conf")
}

apt_get() {
	apt-get -q "${apt_options[@]}" -o APT::Sandbox::User=root "$@" \
		</dev/null >>"$apt_log" 2>&1
}

apt_show() {
	apt-cache "${apt_options[@]}" show "$@" 2>/dev/null
}

apt_update() {
	[[ ${#apt_options[@]} -gt 0 || $(id -u) -eq 0 ]] || return 1
	echo "apt-get update for $deb_arch" >&2
	# A source that has no such architecture is no failure; what is missing
	# then shows.
	apt_get update || true
}
