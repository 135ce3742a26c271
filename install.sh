#!/bin/sh
# Installs the active-response suite into an OSSEC or Wazuh home, configures it, and removes
# it again. See `./install.sh --help`.
set -eu
umask 022

usage() {
	cat <<'END'
Usage: ./install.sh [--home DIR] [--configure [--profile A,B] [--whitelist A,B]] ...
       ./install.sh --uninstall | --purge [--home DIR]

Installs firewall-drop, host-deny, route-null, email-notification,
chat-notification, response-stats and others into DIR/active-response/bin,
under the names that OSSEC's configuration uses, and the administrator's command
ossec-ar into DIR/bin, with a link in /usr/sbin. Files of those names that were
there before are kept in DIR/active-response/stock, and --uninstall puts them
back. It asks no questions, may be run again at any time, and never restarts
OSSEC: it says when a restart is needed.

  --home DIR       the OSSEC or Wazuh home (default: the home of the running
                   daemon, else the one in /etc/ossec-init.conf, else
                   /var/ossec; only where nobody but root can write)
  --configure      also put the commands, active responses, logs and rules into
                   DIR/etc/ossec.conf; if the suite is installed already, do
                   only that
  --profile A,B    which responses: ssh, web, mail (these three by default),
                   chat, severity, repeat; contrib/ossec shows each. They replace the
                   profiles chosen before: name all that you want
  --whitelist A,B  addresses and networks that are never blocked
  --systemd        use systemd timers instead of cron (without cron they are used
                   anyway)
  --cron           go back to cron
  --no-system      nothing outside of DIR: no cron, logrotate, man pages, link
  --no-deps        do not install missing system packages
  --build          build the programs even if the release archive has them
  --uninstall      remove the suite; blocks, state and logs stay
  --purge          remove the suite, free all addresses, and remove state and
                   the suite's own logs; also works after --uninstall
  --dry-run        print what would be done, and change nothing
  --help           this text

If DESTDIR is set in the environment, it is put before every path, and no system
packages are installed. GO names the go command to build with.
END
}

say() { printf '%s\n' "$*"; }
die() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

# run shows a command in a dry run, and runs it otherwise.
run() {
	if [ "$dry_run" = yes ]; then
		say "would run: $*"
	else
		"$@"
	fi
}

# did reports what was done; a dry run has printed it already.
did() { [ "$dry_run" = yes ] || say "$*"; }

# quietly is run for a command whose output does not matter.
quietly() {
	if [ "$dry_run" = yes ]; then
		say "would run: $*"
	else
		"$@" >/dev/null
	fi
}

action=install
configure=no
profile=
whitelist=
schedule=
system=yes
deps=yes
build=no
purge=no
dry_run=no
home=
while [ $# -gt 0 ]; do
	case $1 in
	--home | --profile | --whitelist)
		[ -n "${2-}" ] || die "$1 needs a value (see --help)"
		option=$1=$2
		shift 2
		set -- "$option" "$@"
		continue
		;;
	--home=?*) home=${1#--home=} ;;
	--profile=?*) profile=${1#--profile=} ;;
	--whitelist=?*) whitelist=${1#--whitelist=} ;;
	--configure) configure=yes ;;
	--systemd) schedule=systemd ;;
	--cron) schedule=cron ;;
	--no-system) system=no ;;
	--no-deps) deps=no ;;
	--build) build=yes ;;
	--uninstall) action=uninstall ;;
	--purge)
		action=uninstall
		purge=yes
		;;
	--dry-run) dry_run=yes ;;
	--help | -h)
		usage
		exit 0
		;;
	*) die "unknown option $1 (see --help)" ;;
	esac
	shift
done
[ "$configure" = yes ] || [ -z "$profile$whitelist" ] ||
	die "--profile and --whitelist go with --configure (see --help)"
[ "$action" = install ] || [ "$configure" = no ] ||
	die "--configure does not go with --uninstall (see --help)"

destdir=${DESTDIR-}
source=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# A person's PATH often lacks the folders with programs for administrators.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

have() { command -v "$1" >/dev/null 2>&1; }

there() { [ -e "$1" ] || [ -L "$1" ]; }

# As root, the script acts only on files that nobody else could have written: they must belong
# to root (or to the user who runs it), and so must every folder above them. A sticky folder
# like /tmp is accepted above a path that was named on the command line.
me=$(id -u)
sticky=no
[ -z "$home$destdir" ] || sticky=yes

# unwritten FILE reports whether nobody else may write to a file or folder; if somebody may,
# $fault says who. It does not look at the folders above.
unwritten() {
	case $1 in
	*[!A-Za-z0-9/._+@-]*) fault="a file with an unusual name" ;; # not safe to print on a terminal
	*) fault=$1 ;;
	esac
	read -r mode _ uid _ <<-END
		$(ls -ldn -- "$1" 2>/dev/null)
	END
	case $uid in
	0 | "$me") ;;
	'') fault="$fault cannot be examined" && return 1 ;;
	*) fault="$fault belongs to user $uid" && return 1 ;;
	esac
	case $sticky-$mode in *-l* | yes-d????????[tT]*) return ;; esac # a link's mode means nothing
	case $mode in
	????????w*) fault="$fault is writable by others" && return 1 ;;
	?????w*) fault="$fault is writable by its group" && return 1 ;;
	esac
}

# trusted PATH reports the same for a path with all folders above it and all links on the way.
# A missing file is trusted: nobody else can create it.
trusted() {
	at=
	case $1 in
	/*) rest=$1 ;;
	*) rest=$(pwd)/$1 ;;
	esac
	links=0
	unwritten / || return
	while [ -n "$rest" ]; do
		name=${rest%%/*}
		rest=${rest#"$name"}
		rest=${rest#/}
		case $name in
		'' | .) continue ;;
		..) at=${at%/*} && continue ;;
		esac
		there "$at/$name" || return 0
		unwritten "$at/$name" || return
		if [ -L "$at/$name" ]; then
			links=$((links + 1))
			[ "$links" -le 40 ] || { fault="$fault is a circular link" && return 1; }
			rest=$(readlink "$at/$name")/$rest
			case $rest in /*) at= ;; esac
		else
			at=$at/$name
		fi
	done
}

# plain FILE reports whether it is a file, and not a link to one.
plain() { [ -f "$1" ] && [ ! -L "$1" ]; }

ignored() { printf 'install.sh: ignored %s: %s\n' "$1" "$2" >&2; }

# running_home prints the home of the running daemon. Anybody can run a program with that
# name, even thousands of them: the first that is not a daemon is reported, the rest are not.
running_home() {
	told=no
	for exe in /proc/[0-9]*/exe; do
		file=$(readlink "$exe" 2>/dev/null) || continue
		case $file in
		/*/bin/ossec-execd | /*/bin/wazuh-execd) ;;
		*) continue ;;
		esac
		# The folder in /proc belongs to root for any process that cannot be dumped, so all
		# four user ids are checked. A process in a container has another file at this path.
		# shellcheck disable=SC3013 # dash, busybox and POSIX of 2024 have -ef
		if ! grep -q '^Uid:	0	0	0	0$' "${exe%/exe}/status" 2>/dev/null; then
			fault="root did not start it"
		elif ! [ "$exe" -ef "$file" ]; then
			fault="it runs in a container, or its file is gone"
		elif trusted "$file"; then
			echo "${file%/bin/*}"
			return
		fi
		[ "$told" = yes ] || ignored "process $(basename "${exe%/exe}"), which has the daemon's name" "$fault"
		told=yes
	done
}

# find_home prints the home to install into.
find_home() {
	if [ -z "$destdir" ]; then
		found=$(running_home)
		if [ -n "$found" ]; then
			echo "$found"
			return
		fi
	fi
	found=
	conf=$destdir/etc/ossec-init.conf
	if [ ! -r "$conf" ]; then
		:
	elif ! plain "$conf"; then
		ignored /etc/ossec-init.conf "it is not a plain file"
	elif ! trusted "$conf"; then
		ignored /etc/ossec-init.conf "$fault"
	else
		found=$(sed -n 's/^DIRECTORY="\(\/[^"]*\)".*/\1/p' "$conf" | tail -n 1)
	fi
	for dir in ${found:+"$found"} /var/ossec /opt/ossec /opt/wazuh /usr/local/ossec-hids; do
		[ -d "$destdir$dir" ] || continue
		if trusted "$destdir$dir"; then
			echo "$dir"
			return
		fi
		ignored "$dir" "$fault"
	done
	trusted "$destdir/var/ossec" ||
		die "found no home that only root can write to: correct its permissions, or choose one with --home"
	echo /var/ossec
}

[ -n "$home" ] || home=$(find_home) || exit 1
case $home in
/*) ;;
*) home=$(pwd)/$home ;;
esac
home=$(printf '%s/' "$home" | sed -e 's,//*,/,g' -e ':again' -e 's,/\./,/,' -e 't again' -e 's,/$,,')
case $home in
*/../* | */..) die "$home: the path of a home cannot contain ..: cron and systemd use it" ;;
'') die "the home can't be /" ;;
*[!A-Za-z0-9/._+@-]*)
	die "$home: the path of a home can contain only letters, digits and . _ + @ -: cron and systemd use it"
	;;
esac
root=$destdir$home
bin=$root/active-response/bin
stock=$root/active-response/stock
tool=$root/bin/ossec-ar
installed=$stock/.installed # the programs and links in the home, with their identities
placed=$stock/.placed       # all other files and folders that were made, likewise
# The state (leases, mail that waits) is where nobody but root can take it away and bring it back: in the home's
# var, or as on Wazuh in a folder of the system with the home's path, links resolved. Once that is there it stays.
real=$home
[ -n "$destdir" ] || [ ! -d "$root" ] || real=$(cd -P -- "$root" && pwd -P)
[ "$real" != / ] || die "$home: the home can't be /"
states=$destdir/var/lib/ossec-ar
state=$states$real/state # a home can lie in another
if ! { [ -d "$state" ] && trusted "$state"; } && { [ ! -d "$root/var" ] || trusted "$root/var"; }; then
	state=$root/var/active-response
fi
settings=$root/etc # where the suite's own settings are: not where the daemons can write, as on Wazuh
[ ! -d "$settings" ] || trusted "$settings" || settings=$destdir/etc/ossec-ar
purge_dir=$root/.ossec-ar-programs # from where a purge runs ossec-ar; daemons may write to Wazuh's var
share=/usr/share/ossec-ar
link=/usr/sbin/ossec-ar

programs="ossec-ar firewall-drop host-deny route-null disable-account ip-customblock unban allow email-notification chat-notification response-stats"
blocking="firewall-drop host-deny route-null disable-account ip-customblock"
timers="ossec-ar-maintain.timer ossec-ar-stats.timer"
prepare=ossec-ar-prepare.service # what saved firewall rules name is there at boot; beside cron, too
units_dir=/etc/systemd/system

# links PROGRAM prints the other names of a program.
links() {
	case $1 in
	ossec-ar) ;;
	firewall-drop) # block-ip is Wazuh 5's name
		echo "firewall-drop.sh custom-firewall-drop.sh block-ip default-firewall-drop" \
			"firewalld-drop firewalld-drop.sh nftables-drop nftables-drop.sh"
		;;
	chat-notification) # a stock one holds the URL that it sends to: it stays until ours has one
		echo "$1.sh"
		for other in ossec-slack.sh ossec-pagerduty.sh wazuh-slack; do
			if ! there "$bin/$other" || ours "$other" || chat_is_set; then
				echo "$other"
			fi
		done
		;;
	*) echo "$1.sh" ;;
	esac
}

# chat_is_set reports whether the settings name a service for chat-notification.
chat_is_set() {
	toml=$settings/active-response.toml
	plain "$toml" && trusted "$toml" && grep -q '^[[:blank:]]*\[\[[[:blank:]]*chat[[:blank:]]*\]\]' "$toml"
}

# path_of NAME prints where a program or link of the suite is in the home.
path_of() {
	case $1 in
	ossec-ar) printf '%s' "$tool" ;;
	*) printf '%s' "$bin/$1" ;;
	esac
}

# find_group prints the group that the daemons run as: the group of the home's own folders,
# else one of the usual names, else root.
find_group() {
	for dir in "$root/etc" "$root"; do
		if [ -d "$dir" ]; then
			# shellcheck disable=SC2012 # stat(1) differs from system to system
			owner=$(ls -ld "$dir" | awk '{print $4}')
			if [ "$owner" != root ]; then
				echo "$owner"
				return
			fi
		fi
	done
	for name in ossec wazuh; do
		if getent group "$name" >/dev/null 2>&1 || grep -q "^$name:" /etc/group 2>/dev/null; then
			echo "$name"
			return
		fi
	done
	echo root
}

# owned FILE... gives files to root and the daemons' group, where we may.
owned() {
	if [ "$(id -u)" = 0 ]; then
		run chown -h "root:$group" "$@"
	fi
}

# folder MODE DIR makes a folder below the home if it is missing.
folder() {
	if [ ! -d "$2" ]; then
		run mkdir -p "$2"
		run chmod "$1" "$2"
		owned "$2"
		made="$made${2#"$destdir"}
"
	fi
}

# make_settings makes the folder of the settings when that is not the home's. What stands in the home's is not
# moved there, whoever owns it: who can write in a folder can put any file of root's there.
make_settings() {
	[ "$settings" != "$root/etc" ] || return 0
	for dir in "$settings" "$settings/whitelist.d"; do
		[ -d "$dir" ] || made="$made${dir#"$destdir"}
"
		run install -d -m 0755 "$dir"
	done
	toml=active-response.toml
	! there "$settings/$toml" && there "$root/etc/$toml" || return 0
	say "left $home/etc/$toml, of which only the whitelist counts: others could have written it. Read it, and" \
		"move it to ${settings#"$destdir"}"
}

# make_state makes the state folder, for root alone. What is there is not touched.
make_state() {
	there "$state" && return
	[ -d "${state%/*}" ] || run mkdir -p "${state%/*}"
	(umask 077 && run mkdir "$state") || return 0 # the programs say what is wrong with what is there
	made="$made${state#"$destdir"}
"
}

# install_packages installs iptables where it is missing.
install_packages() {
	have iptables && return
	if [ "$deps" = no ] || [ -n "$destdir" ]; then
		say "iptables is missing: firewall-drop uses nftables until it is installed"
		return
	fi
	say "installing iptables"
	if have apt-get; then
		run apt-get update -qq && quietly env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends iptables </dev/null
	elif have dnf; then
		quietly dnf install -y -q iptables </dev/null
	elif have yum; then
		quietly yum install -y -q iptables </dev/null
	elif have zypper; then
		quietly zypper --non-interactive --quiet install iptables </dev/null
	elif have apk; then
		quietly apk add --quiet iptables ip6tables </dev/null
	else
		die "iptables is missing, and no known package manager was found: install it by hand, or use --no-deps"
	fi || die "installing iptables failed: install it by hand, or use --no-deps"
}

# find_go prints the go command to build with. From 1.21 on it fetches the Go that go.mod names.
find_go() {
	old=
	for go in ${GO:-go /usr/local/go/bin/go /usr/lib/go/bin/go}; do
		have "$go" || continue
		version=$(GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) ||
			version="not a go command that works ($("$go" env GOVERSION 2>&1 | head -n 1))"
		case $version in
		go1.2[1-9]* | go1.[3-9][0-9]* | devel*) echo "$go" && return ;;
		esac
		old="; $go is $version"
	done
	die "Go 1.21 or later is needed to build the suite${old:-, and none was found}: see https://go.dev/dl/"
}

# get_programs finds or builds the programs; $made_in is where they are.
get_programs() {
	if [ "$build" = no ] && [ -x "$source/dist/firewall-drop" ]; then
		made_in=$source/dist
		[ -n "$destdir" ] || version=$("$made_in/firewall-drop" --version 2>/dev/null) ||
			die "the programs in $made_in do not run on this machine: use the archive for $(uname -m), or --build"
		return
	fi
	[ -f "$source/go.mod" ] ||
		die "$source contains neither the programs (dist) nor their source: use a release archive or a clone"
	made_in=$work
	if [ "$dry_run" = yes ]; then
		say "would run: go build of the programs in $source"
		return
	fi
	go=$(find_go)
	version=$(cd "$source" && git describe --tags --always --dirty 2>/dev/null || echo devel)
	(
		cd "$source" # where go.mod names the Go that is used
		export CGO_ENABLED=0 GOTOOLCHAIN="${GOTOOLCHAIN-auto}"
		say "building the programs with $("$go" env GOVERSION), which takes a minute the first time"
		"$go" build -trimpath -buildvcs=false \
			-tags urfave_cli_no_docs -ldflags "-s -w -X github.com/ossec-ar/ossec-ar/internal/app.Version=$version" \
			-o "$work/" ./cmd/...
	) || die "building the programs failed"
}

# identity FILE prints what distinguishes a file from another of the same name.
identity() {
	if [ -L "$1" ]; then
		printf 'link to %s' "$(readlink "$1")"
	elif [ -d "$1" ]; then
		printf folder
	else
		cksum <"$1"
	fi
}

# known LIST NAME FILE reports whether a file is still the one in the list.
known() { [ -f "$1" ] && grep -qxF "$2	$(identity "$3")" "$1"; }

# promise LIST NAME IDENTITY adds a file that is about to be put in place, beside what the list
# has of that name: if this run is cut off there, the next one still recognises the file.
promise() { [ "$dry_run" = yes ] || printf '%s\t%s\n' "$2" "$3" >>"$1"; }

# note LIST NAME FILE records that a file is ours; without FILE, removes it from the list.
note() {
	[ "$dry_run" = no ] || return 0
	awk -F '\t' -v name="$2" '$1 != name' "$1" >"$1.new" 2>/dev/null || true
	[ $# = 2 ] || printf '%s\t%s\n' "$2" "$(identity "$3")" >>"$1.new"
	mv -f "$1.new" "$1"
}

# ours NAME reports whether a program is as we installed it. An upgrade of OSSEC or Wazuh may
# have put its own in the same place since.
ours() { there "$(path_of "$1")" && known "$installed" "$1" "$(path_of "$1")"; }

# ours_plain PROGRAM reports whether a program may be run as ours: it is no link to another.
ours_plain() { ours "$1" && plain "$(path_of "$1")"; }

# check_trust ends the run unless nobody else can write what is acted on as root: the two lists,
# what is kept in the stock folder, and the ossec-ar that is run.
check_trust() {
	nothing="so it is not trusted and nothing was done"
	root_only="allow only root to write"
	for path in "$stock" "$bin" "$root/bin"; do
		trusted "$path" ||
			die "$fault, so $home is not trusted and nothing was done: $root_only there (chown root, chmod go-w)," \
				"or choose another home"
	done
	for path in "$installed" "$placed"; do
		there "$path" || continue
		plain "$path" || die "$path is not a plain file, $nothing: find out who made it, and remove it"
		trusted "$path" ||
			die "$fault, $nothing: read it, then $root_only it (chown root, chmod go-w) or remove it"
	done
	! ours_plain ossec-ar || trusted "$tool" ||
		die "$fault, so it is not run and nothing was done: remove it, and install the suite again"
}

# keep NAME moves a file that is not ours aside.
keep() {
	if there "$(path_of "$1")" && ! ours "$1"; then
		run mv -f "$(path_of "$1")" "$stock/$1"
		did "kept the stock $1 in $home/active-response/stock"
	fi
}

# label_all gives the programs the SELinux label of one of OSSEC's own, or if there is none the label
# in the policy. Files in logs get that of their folder by themselves.
label_all() {
	have selinuxenabled && selinuxenabled || return 0
	model=
	for file in "$stock"/* "$bin"/*; do
		if plain "$file" && { [ "${file%/*}" = "$stock" ] || ! ours "${file##*/}"; }; then
			model=$file
			break
		fi
	done
	for program in $programs; do
		file=$(path_of "$program")
		there "$file" || continue
		[ -n "$model" ] && [ "$program" != ossec-ar ] && run chcon -h --reference="$model" "$file" && continue
		run restorecon "$file" || say "could not label $file for SELinux: the daemon may not be allowed to use it"
	done
}

install_programs() {
	for program in $programs; do
		if [ ! -f "$made_in/$program" ] && { [ "$dry_run" = no ] || [ "$made_in" != "$work" ]; }; then
			continue
		fi
		keep "$program"
		target=$(path_of "$program")
		if ! plain "$target" || ! cmp -s "$made_in/$program" "$target"; then
			[ "$program" = ossec-ar ] || restart=yes # which the daemons do not call
			# A running program is not written over: the new one is moved into its place.
			new=${target%/*}/.$program.new
			run install -m 0755 "$made_in/$program" "$new"
			owned "$new"
			[ "$dry_run" = yes ] || promise "$installed" "$program" "$(identity "$new")"
			run mv -f "$new" "$target"
		fi
		note "$installed" "$program" "$target"
		for name in $(links "$program"); do
			keep "$name"
			if [ "$(readlink "$bin/$name" 2>/dev/null)" != "$program" ]; then
				restart=yes
				promise "$installed" "$name" "link to $program"
				run ln -sfn "$program" "$bin/$name"
				owned "$bin/$name"
			fi
			note "$installed" "$name" "$bin/$name"
		done
	done
}

# place MODE FILE PATH puts a file outside of the home; one in /etc gets the home's path and
# group. A file that was edited there, or belongs to another home, stays as it is.
place() {
	target=$destdir$3
	case $3 in
	/etc/*) sed -e "s,/var/ossec,$home,g" -e "s,^\\([[:blank:]]*su root\\) ossec\$,\\1 $group," "$2" ;;
	*) cat "$2" ;; # documentation keeps its /var/ossec
	esac >"$work/placed"
	if ! there "$target" || known "$placed" "$3" "$target"; then
		if ! cmp -s "$work/placed" "$target"; then
			[ -d "${target%/*}" ] || run mkdir -p "${target%/*}"
			promise "$placed" "$3" "$(identity "$work/placed")"
			run install -m "$1" "$work/placed" "$target"
		fi
	elif ! cmp -s "$work/placed" "$target"; then
		say "left $3 unchanged: it was edited, or belongs to another home"
		return
	elif ! names_home "$3"; then
		return # another home may need it when this one is removed
	fi
	note "$placed" "$3" "$target"
}

# rotated LOG reports whether another file in /etc/logrotate.d names a log, and which: $other.
rotated() {
	for other in "$destdir"/etc/logrotate.d/*; do
		[ "${other##*/}" != ossec-ar ] || continue
		plain "$other" || continue
		sed -e 's/#.*//' -e 's/[{"]/ /g' -e '/^[[:blank:]]*\//!d' "$other" | tr -s '[:blank:]' '\n' >"$work/named"
		while IFS= read -r pattern; do
			# shellcheck disable=SC2254 # it is a pattern
			case $1 in $pattern) return 0 ;; esac
		done <"$work/named"
	done
	return 1
}

# install_rotation leaves out what is rotated already: logrotate refuses to rotate a log by two files.
install_rotation() {
	cp "$source/contrib/logrotate/ossec-ar" "$work/rotation"
	for log in active-responses.log active-responses.json notifications.log response-stats.log; do
		rotated "$home/logs/$log" || continue
		say "/etc/logrotate.d/${other##*/} rotates $log, so that /etc/logrotate.d/ossec-ar does not"
		grep -vxF "/var/ossec/logs/$log" "$work/rotation" >"$work/rotation.new" || true
		mv "$work/rotation.new" "$work/rotation"
	done
	place 0644 "$work/rotation" /etc/logrotate.d/ossec-ar
	did "set up the rotation of the logs, in /etc/logrotate.d/ossec-ar"
}

# place_link puts the link to ossec-ar where a shell finds it.
place_link() {
	target=$destdir$link
	if there "$target" && [ "$(readlink "$target")" != "$home/bin/ossec-ar" ] &&
		! known "$placed" "$link" "$target"; then
		say "left $link unchanged: it was edited, or belongs to another home; this home's is $home/bin/ossec-ar"
		return
	fi
	[ -d "${target%/*}" ] || run mkdir -p "${target%/*}"
	if [ "$dry_run" = no ] && [ ! -w "${target%/*}" ]; then
		say "${link%/*} is not writable: there is no $link, use $home/bin/ossec-ar"
		return
	fi
	if [ "$(readlink "$target")" != "$home/bin/ossec-ar" ]; then
		promise "$placed" "$link" "link to $home/bin/ossec-ar"
		run ln -sfn "$home/bin/ossec-ar" "$target"
	fi
	note "$placed" "$link" "$target"
	did "made the command ossec-ar, as $link"
}

# names_home PATH reports whether the file that goes there is for this home alone.
names_home() {
	case $1 in
	/etc/*) grep -qF "$home/" "$work/placed" ;;
	*) false ;;
	esac
}

# displace PATH removes such a file again, unless it was edited.
displace() {
	target=$destdir$1
	there "$target" || return 0
	if known "$placed" "$1" "$target"; then
		run rm -f "$target"
		note "$placed" "$1"
	else
		say "left $1: it is not the one that was installed"
	fi
}

# install_share puts contrib and this script where they stay when the clone is deleted.
install_share() {
	[ "$source" != "$destdir$share" ] || return 0
	if [ -d "$destdir/usr/share" ] && [ ! -w "$destdir/usr/share" ]; then
		say "/usr/share is not writable: man pages, completions and contrib are left out"
		return
	fi
	place 0755 "$source/install.sh" "$share/install.sh"
	for file in $(cd "$source" && find contrib -type f ! -name '*.go' ! -path 'contrib/completions/*' | sort); do
		place 0644 "$source/$file" "$share/$file"
	done
	for page in "$source"/docs/man/*.[58]; do
		[ -f "$page" ] || continue
		place 0644 "$page" "/usr/share/man/man${page##*.}/$(basename "$page")"
	done
	for file in "$source"/contrib/completions/*/*; do
		[ -f "$file" ] || continue
		name=$(basename "$file")
		case $file in
		*/bash/*) place 0644 "$file" "/usr/share/bash-completion/completions/$name" ;;
		*/zsh/*) place 0644 "$file" "/usr/share/zsh/site-functions/$name" ;;
		*/fish/*) place 0644 "$file" "/usr/share/fish/vendor_completions.d/$name" ;;
		esac
	done
	did "put man pages, completions and contrib into /usr/share"
}

# systemd_runs reports whether systemd runs here and is the one to configure.
systemd_runs() { [ -z "$destdir" ] && [ -d /run/systemd/system ]; }

cron_here() { have cron || have crond; }

# choose_schedule takes what was asked for, else what is installed, else cron where the host has it or has no
# systemd either. It refuses to set up both.
choose_schedule() {
	if [ -z "$schedule" ]; then
		schedule=cron
		if there "$destdir$units_dir/ossec-ar-maintain.timer" ||
			{ systemd_runs && ! cron_here && ! there /etc/cron.d/ossec-ar; }; then
			schedule=systemd
		fi
	fi
	[ "$schedule" = systemd ] || return 0
	have systemctl || die "--systemd: systemctl is missing"
	tab=/etc/cron.d/ossec-ar
	! there "$destdir$tab" || known "$placed" $tab "$destdir$tab" ||
		die "--systemd: $tab was edited, or belongs to another home: move it away first, or stay with cron"
}

install_schedule() {
	if [ "$schedule" = cron ]; then
		# shellcheck disable=SC2086 # one unit a word
		remove_units $timers
		place 0644 "$source/contrib/cron/ossec-ar" /etc/cron.d/ossec-ar
		! systemd_runs || add_units $prepare
		if [ -z "$destdir" ] && ! cron_here; then
			or=
			! systemd_runs || or=", or use --systemd"
			say "cron is missing, so nothing runs /etc/cron.d/ossec-ar: install cron$or. Until then what is" \
				"flushed stays open, and no block ends when its time is over"
		else
			did "scheduled ossec-ar maintain each minute and the report at 23:59, in /etc/cron.d/ossec-ar"
		fi
		return
	fi
	displace /etc/cron.d/ossec-ar
	# shellcheck disable=SC2086
	add_units $timers $prepare
	did "scheduled ossec-ar maintain each minute and the report at 23:59, as systemd timers"
}

# add_units UNIT... puts units where systemd finds them, with the services of timers, and enables them.
add_units() {
	for unit in "$@"; do
		for file in "$source/contrib/systemd/${unit%.*}".*; do
			place 0644 "$file" "$units_dir/$(basename "$file")"
		done
	done
	if systemd_runs; then
		run systemctl daemon-reload
		quietly systemctl --quiet enable --now "$@"
	else
		quietly systemctl --quiet --root="$destdir/" enable "$@"
	fi
}

# remove_units UNIT... undoes add_units, for those that are there.
remove_units() {
	all=$*
	set --
	for unit in $all; do ! there "$destdir$units_dir/$unit" || set -- "$@" "$unit"; done
	[ $# -gt 0 ] || return 0
	if ! have systemctl; then
		say "systemctl is missing: remove links to ossec-ar units from $units_dir by hand"
	elif systemd_runs; then
		quietly systemctl --quiet disable --now "$@"
	else
		quietly systemctl --quiet --root="$destdir/" disable "$@"
	fi
	for unit in "$@"; do
		for file in "$destdir$units_dir/${unit%.*}".*; do
			[ ! -f "$file" ] || displace "${file#"$destdir"}"
		done
	done
	! systemd_runs || run systemctl daemon-reload
}

# setup OPTION... runs the ossec-ar that edits ossec.conf.
setup() {
	if [ "$dry_run" = yes ]; then
		set -- "$@" --dry-run
	fi
	file=${made_in:-$source/dist}/ossec-ar
	! ours_plain ossec-ar || file=$tool
	if [ -x "$file" ]; then
		"$file" configure --home "$home" --destdir "$destdir" "$@"
		return
	fi
	[ "$dry_run" = yes ] || return 1
	say "would run: $home/bin/ossec-ar configure --home $home $*"
}

configure_ossec() {
	set -- --rules "$source/contrib"
	[ -z "$profile" ] || set -- "$@" --profile "$profile"
	[ -z "$whitelist" ] || set -- "$@" --whitelist "$whitelist"
	setup "$@" >"$work/said" || {
		cat "$work/said"
		die "$home/etc/ossec.conf was not changed"
	}
	cat "$work/said"
	! grep -q '^restart ' "$work/said" || restart=no # it was said already
}

install_suite() {
	nearest=$home # the folder in which the first new one would be made
	while [ ! -e "$nearest" ]; do nearest=$(dirname "$nearest"); done
	[ -n "$destdir" ] || [ "$(id -u)" = 0 ] || [ -w "$nearest" ] ||
		die "$home is not writable: run this as root"
	if [ "$system" = yes ] && [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
		say "not root: cron, logrotate, man pages and $link are left out"
		system=no
	fi
	[ "$system" = no ] || choose_schedule
	group=$(find_group)
	get_programs # first, so that nothing is changed where there are none
	[ "$made_in" = "$work" ] || say "installing the programs in $made_in${version:+ ($version)}"
	install_packages
	made=
	if [ ! -d "$root/etc" ] && [ ! -d "$root/bin" ]; then
		say "no OSSEC or Wazuh in $home: making the folders, so that you can try the suite"
		folder 0755 "$root"
	fi
	folder 0750 "$root/active-response"
	folder 0750 "$bin"
	folder 0750 "$stock"
	folder 0750 "$root/bin"
	folder 0750 "$root/etc"
	folder 0770 "$root/logs"
	folder 0750 "$root/var"
	make_state
	[ "$system" = no ] || make_settings
	[ -z "$made" ] || check_trust # in a folder like /tmp somebody else may have been first
	printf '%s' "$made" >"$work/made"
	while IFS= read -r dir; do # behind a link the state's path can have a blank in it
		note "$placed" "$dir" "$destdir$dir"
	done <"$work/made"
	restart=no
	install_programs
	if [ "$system" = yes ]; then
		install_schedule
		install_rotation
		place_link
		install_share
	fi
	label_all
	did "installed into $home/active-response/bin"
	[ "$configure" = no ] || configure_ossec
	prepare_files
	if [ "$restart" = yes ] && [ -n "$(ls "$root"/bin/*-control 2>/dev/null)" ]; then
		say "restart OSSEC or Wazuh when it suits you: its daemon finds a new executable only then"
	fi
}

# prepare_files makes the logs that ossec.conf has followed, for logcollector gives up on one that is not
# there, and asks for the host names on the whitelist, which count from then on. DNS may be silent by now;
# the job of each minute tries again.
prepare_files() {
	[ -z "$destdir" ] && [ "$dry_run" = no ] && ours_plain ossec-ar || return 0
	! there "$root/etc/ossec.conf" || setup --logs || true
	"$tool" --home "$home" whitelist refresh >/dev/null 2>&1 || true
}

# remove_programs also puts back what an interrupted run had just moved aside.
remove_programs() {
	{
		[ ! -f "$installed" ] || awk -F '\t' '{ print $1 }' "$installed"
		for file in "$stock"/*; do ! there "$file" || echo "${file##*/}"; done
	} | sort -u >"$work/names"
	while IFS= read -r name; do
		target=$(path_of "$name")
		if there "$target" && ! ours "$name"; then
			say "left $name: it is not the one that was installed"
			continue
		fi
		run rm -f "$target"
		if there "$stock/$name"; then
			run mv "$stock/$name" "$target"
			did "put the stock $name back"
		fi
	done <"$work/names"
	set -- "$installed" "$installed.new"
	for program in $programs; do
		target=$(path_of "$program")
		set -- "$@" "${target%/*}/.$program.new"
	done
	run rm -f "$@"
}

# remove_placed removes all files outside of the home, and then the folders that were made
# and are empty again.
remove_placed() {
	[ -f "$placed" ] || return 0
	awk -F '\t' '$2 != "folder" { print $1 }' "$placed" >"$work/files"
	while IFS= read -r path; do
		displace "$path"
	done <"$work/files"
	[ "$dry_run" = no ] || return 0
	find "$destdir$share" -depth -type d -exec rmdir {} \; 2>/dev/null || true
	awk -F '\t' '$2 == "folder" { print $1 }' "$placed" | sort -r >"$work/folders"
	rm -f "$placed" "$placed.new"
	rmdir "$stock" 2>/dev/null || true
	while IFS= read -r path; do
		rmdir "$destdir$path" 2>/dev/null || true
	done <"$work/folders"
}

# leased RESPONSE reports whether the response has ever blocked anything.
leased() { ls "$state/$1".db* >/dev/null 2>&1; }

# gather_programs copies ossec-ar to where it can be run while the suite is being removed (/tmp
# may be mounted noexec).
gather_programs() {
	[ -z "$destdir" ] || return 0 # what is blocked on this host is not that installation's
	for response in $blocking; do
		! leased "$response" || held="$held $response"
	done
	from=$root/bin
	if ! ours_plain ossec-ar; then
		[ -n "$held" ] || return 0
		say "ossec-ar is missing in $home/bin: one from here frees the blocked addresses"
		get_programs
		from=$made_in
	fi
	spare=$purge_dir
	run rm -rf "$spare" # left by a run that was killed: never used again
	run mkdir -m 0700 "$spare"
	run install -m 0755 "$from/ossec-ar" "$spare/ossec-ar"
}

# free_all frees all addresses, because without the state nothing would.
free_all() {
	[ -n "$spare" ] || return 0
	kept=
	for response in $blocking; do
		quietly env OSSEC_HOME="$home" "$spare/ossec-ar" --response "$response" flush && continue
		case "$held " in
		*" $response "*) kept="$kept $response" ;;
		esac
	done
	[ -z "$kept" ] ||
		die "not all addresses of$kept could be freed (see above), so the state stays:" \
			"correct that and run this again"
}

# remove_folder DIR removes a folder of root's own, which stands where the daemons may be able to write: not
# what a link leads to, nor a folder that was put in its place.
remove_folder() {
	there "$1" || return 0
	if [ "$dry_run" = yes ]; then
		say "would run: rm -rf $1"
	elif ! (
		cd -P -- "${1%/*}" && above=$(pwd -P) && cd -P -- "${1##*/}" 2>/dev/null &&
			[ "$(pwd -P)" = "$above/${1##*/}" ] && unwritten . && rm -rf -- ./* ./.[!.]* ./..?*
	) || ! rmdir "$1"; then
		say "left ${1#"$destdir"}: it is not the folder that the suite made"
	fi
}

# drop_states removes the folders above the state, those that are empty.
drop_states() {
	(
		cd "$states" || return 0
		rmdir -p ".$real" || rmdir "$states" || true
	) 2>/dev/null
}

# remove_files DIR PATTERN removes files, and not folders, of a folder in which the daemons may have left any
# and as many as they like.
remove_files() {
	[ ! -d "$1" ] || run find "$1" -maxdepth 1 -name "$2" ! -type d -exec rm -f {} +
}

remove_state() {
	remove_folder "$state"
	[ "$state" = "$root/var/active-response" ] || remove_folder "$root/var/active-response" # from when var was root's alone
	remove_files "$root/logs" 'notifications.log*'
	remove_files "$root/logs" 'response-stats.log*'
	remove_files "$root/logs" 'active-responses.json*'
	! no_ossec || remove_files "$root/logs" 'active-responses.log*'
	remove_files "$root/etc" 'ossec.conf.ossec-ar-backup-*'
	for file in "$settings/active-response.toml" "$settings/whitelist.d" "$settings"; do
		if [ -d "$file" ] && [ -z "$(ls -A "$file")" ] && [ "$file" != "$root/etc" ]; then
			run rmdir "$file"
		elif there "$file" && [ "$file" != "$settings" ]; then
			say "left ${file#"$destdir"}, which is yours"
		fi
	done
}

# no_ossec reports whether neither OSSEC nor Wazuh is in the home, so that all of it is the suite's.
no_ossec() { ! there "$root/etc/ossec.conf" && [ -z "$(ls "$root"/bin/*-control 2>/dev/null)" ]; }

# left_over reports whether something is there for a purge after an uninstallation.
left_over() { [ -d "$state" ] || { [ -d "$root/logs" ] && no_ossec; }; }

# remove_home removes the empty folders of a home without OSSEC, whenever they were made.
remove_home() {
	no_ossec && [ "$dry_run" = no ] || return 0
	rmdir "$bin" "$root/active-response" "$root/bin" "$root/etc" "$root/logs" "$root/var" "$root" 2>/dev/null || true
}

configured() {
	conf=$root/etc/ossec.conf
	# Others may put a pipe in its place right now, or a hole of any size.
	plain "$conf" && timeout 20 grep -qs -e 'ossec-ar: begin' -e 'ossec-ar: rules begin' "$conf"
}

uninstall_suite() {
	for dir in "$root" "$root/active-response" "$stock"; do
		[ ! -d "$dir" ] || [ -w "$dir" ] || die "${dir#"$destdir"} is not writable: run this as root"
	done
	if [ ! -f "$installed" ] && [ ! -f "$placed" ] && { [ "$purge" = no ] || ! left_over; }; then
		say "the suite is not installed in $home"
		return
	fi
	made_in=
	held=
	[ "$purge" = no ] || gather_programs
	if configured && ! ours_plain ossec-ar && [ -z "$made_in" ]; then
		say "ossec-ar is missing in $home/bin: one from here restores ossec.conf"
		get_programs
	fi
	free_all
	setup --remove >"$work/said" || ! configured ||
		say "could not remove the suite's block from $home/etc/ossec.conf: delete what is between the" \
			"\"ossec-ar\" comments"
	backup= # a purge removes the backups
	[ "$purge" = no ] || backup='; as it was: .*'
	sed "s,$backup\$,," "$work/said"
	# shellcheck disable=SC2086
	remove_units $timers $prepare
	displace /etc/cron.d/ossec-ar
	remove_programs
	free_all # what a daemon has blocked meanwhile
	[ -z "$spare" ] || quietly env OSSEC_HOME="$home" "$spare/ossec-ar" unlock || true # it said why
	! there "$purge_dir" || run rm -rf "$purge_dir"
	for dir in "$root"/.ossec-ar-rehearsal-*; do # left by a check that was killed
		! there "$dir" || run rm -rf "$dir"
	done
	[ "$purge" = no ] || remove_state
	remove_placed
	[ "$dry_run" = yes ] || rmdir "$stock" 2>/dev/null || true
	[ "$dry_run" = yes ] || drop_states
	if [ "$purge" = yes ]; then
		remove_home
		did "removed from $home, with its state and its own logs"
	else
		did "removed from $home; blocked addresses stay blocked, state and logs stay"
	fi
}

work=$(mktemp -d)
spare=
trap 'rm -rf "$work"; [ -z "$spare" ] || [ "$dry_run" = yes ] || rm -rf "$spare"' EXIT
trap 'exit 1' INT TERM HUP
check_trust
case $action in
install)
	if [ "$configure" = yes ] && ours ossec-ar; then
		made_in=
		say "the suite is installed in $home already; to update it, run install.sh without --configure"
		configure_ossec
	else
		install_suite
	fi
	;;
uninstall) uninstall_suite ;;
esac
