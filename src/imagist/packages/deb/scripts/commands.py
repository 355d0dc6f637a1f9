"""What the commands of maintainer scripts do: something to a system, or nothing there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from imagist.packages.deb.scripts import debcommands as debian
from imagist.packages.deb.scripts import filecommands as files
from imagist.packages.deb.scripts import systemd
from imagist.packages.deb.scripts.call import Call, NotUnderstood, Truth
from imagist.packages.deb.scripts.conditions import evaluate_test


def _succeed(call: Call) -> Truth:
    del call
    return True


def _fail(call: Call) -> Truth:
    del call
    return False


def _wonder(call: Call) -> Truth:
    """Something that only looks: how it ends, and what it prints, nobody knows here."""
    call.walk.print(None)
    return None


def _test(call: Call) -> Truth:
    arguments = list(call.arguments)
    if call.name == "[" and arguments[-1:] == ["]"]:
        del arguments[-1]
    return evaluate_test(arguments, call.walk.system)


def _find_command(call: Call) -> Truth:
    """`command -v` and `which`: whether the image has a program."""
    names = [each for each in call.known() if not each.startswith("-")]
    if call.name in {"command", "type"} and "-v" not in call.arguments and call.name != "type":
        raise NotUnderstood(f"`{call}`")
    for name in names:
        if name in call.walk.functions or name in COMMANDS_OF_SHELL:
            call.walk.print(f"{name}\n")
            return True
        for folder in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
            path = name if name.startswith("/") else f"{folder}/{name}"
            if call.walk.system.exists(path):
                call.walk.print(f"{path}\n")
                return True
    return False


def _look_up(call: Call) -> Truth:
    """`getent passwd NAME` and `id NAME`: whether an account is there."""
    words = [each for each in call.known() if not each.startswith("-")]
    call.walk.print(None)
    if call.name == "id" and len(words) == 1:
        return call.walk.system.has_user(words[0])
    if len(words) == 2 and words[0] == "passwd":
        return call.walk.system.has_user(words[1])
    if len(words) == 2 and words[0] == "group":
        return call.walk.system.has_group(words[1])
    return None


def _set_unknown(call: Call) -> Truth:
    """`read` and others that give variables a value."""
    for name in call.arguments:
        if name and name.isidentifier():
            call.walk.set_variable(name, None)
    return None


def _declare(call: Call) -> Truth:
    """`export` and `local`, which may assign."""
    for word in call.arguments:
        name, equals, value = (word or "").partition("=")
        if equals and name.isidentifier():
            call.walk.set_variable(name, value)
    return True


def _unset(call: Call) -> Truth:
    for name in call.known():
        call.walk.set_variable(name, "")
    return True


def _shift(call: Call) -> Truth:
    words = call.known()
    call.walk.shift(int(words[0]) if words and words[0].isdigit() else 1)
    return True


def _set_umask(call: Call) -> Truth:
    words = call.known()
    if len(words) != 1 or set(words[0]) - set("01234567"):
        raise NotUnderstood(f"`{call}`")
    call.walk.set_umask(int(words[0], 8))
    return True


def _source(call: Call) -> Truth:
    """Debconf has no answers on a new system; other files are not looked into."""
    if (call.arguments[:1] or [""])[0] in _LIBRARIES:
        return True
    raise NotUnderstood(f"`{call}`")


def _read_link(call: Call) -> Truth:
    words = call.known()
    target = call.walk.system.read_link(words[0]) if len(words) == 1 else None
    call.walk.print(None if target is None else f"{target}\n")
    return None if len(words) != 1 else target is not None


def _name_temporary(call: Call) -> Truth:
    """`mktemp`: its file does not stay."""
    call.walk.print("/tmp/tmp.script\n")  # noqa: S108 - nothing is written there
    return True


def _set_capability(call: Call) -> Truth:
    if call.arguments[:1] == ["-r"]:
        return True  # there are none
    raise NotUnderstood(f"`{call}`")


def _run_python(call: Call) -> Truth:
    """An interpreter that compiles what packages bring, which the image does otherwise."""
    words = [each or "" for each in call.arguments]
    if not any(word.endswith(("py_compile.py", "py_compile", "compileall")) for word in words):
        raise NotUnderstood(f"`{call}`")
    return _derived("pycache")(call)


def _derived(effect: str) -> Callable[[Call], Truth]:
    """What the image has of its own, once all packages are there."""

    def note(call: Call) -> Truth:
        if effect not in call.walk.effects:
            call.walk.effects.append(effect)
        return True

    return note


def _update_shells(call: Call) -> Truth:
    """/etc/shells lists the shells that packages bring a file for."""
    if call.changes("shells"):
        call.walk.system.update_shells()
    return True


def _pairs() -> Iterator[tuple[str, Callable[[Call], Truth]]]:
    succeed = """: true set cd trap sync sleep wait hash ulimit getopts pushd popd
        deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d systemctl service
        start-stop-daemon dpkg-maintscript-helper dpkg-trigger rm_conffile mv_conffile
        db_version db_title db_set db_fset db_subst db_register db_unregister db_input db_go
        db_stop db_beginblock db_endblock db_capb db_purge db_metaget db_settitle db_reset
        restorecon udevadm py3clean pyclean mandb install-info fc-cache update-icon-caches
        gtk-update-icon-cache update-desktop-database update-menus killall pkill kill nscd
        ldconfig.real ucfr telinit initctl update-mime update-binfmts catalog update-catalog
        debconf-set-selections update-initramfs dpkg-reconfigure
        setup_colors debug info notice warning error badusage"""
    wonder = """grep egrep fgrep sed awk cut tr head tail sort uniq wc ls stat readlink realpath
        dpkg-query dpkg-realpath md5sum sha256sum cmp diff date uname hostname basename dirname
        expr seq tty ischroot getcap pidof ps pgrep ss cat find mountpoint getconf xargs
        runlevel whoami who tput stty dpkg-vendor perl dpkg-architecture ldd file od"""
    yield from ((name, _succeed) for name in succeed.split())
    yield from ((name, _wonder) for name in wonder.split())
    yield from _SHELL.items()
    yield from _FILES.items()
    yield from _DEBIAN.items()


_LIBRARIES: Final = frozenset(
    {"/usr/share/debconf/confmodule", "/usr/share/dpkg/sh/dpkg-error.sh"}
)
"""Files that scripts take functions from; debconf has no answers on a new system."""
_SHELL: Final = {
    "false": _fail, "test": _test, "[": _test, "command": _find_command, "which": _find_command,
    "type": _find_command, "getent": _look_up, "id": _look_up, "read": _set_unknown,
    "export": _declare, "local": _declare, "readonly": _declare, "unset": _unset,
    "shift": _shift, ".": _source, "umask": _set_umask, "readlink": _read_link,
    "mktemp": _name_temporary, "setcap": _set_capability, "python3": _run_python,
}  # fmt: skip
_FILES: Final = {
    "mkdir": files.make_folders, "install": files.install, "cp": files.copy, "ln": files.link,
    "mv": files.move, "rm": files.remove, "rmdir": files.remove, "touch": files.touch,
    "chown": files.change_owner, "chgrp": files.change_owner, "chmod": files.change_mode,
}  # fmt: skip
_DEBIAN: Final = {
    "dpkg": debian.ask_dpkg, "update-alternatives": debian.offer_alternatives,
    "dpkg-divert": debian.divert, "dpkg-statoverride": debian.override_mode,
    "adduser": debian.add_account, "addgroup": debian.add_account,
    "useradd": debian.add_account, "groupadd": debian.add_account,
    "update-shells": _update_shells, "update-passwd": _derived("accounts"), "db_get": _fail,
    "ldconfig": _derived("ld.so.cache"), "update-ca-certificates": _derived("certificates"),
    "py3compile": _derived("pycache"), "pypy3compile": _derived("pycache"),
    "pycompile": _derived("pycache"), "systemd-sysusers": systemd.declare_users,
    "systemd-tmpfiles": systemd.make_temporary,
}  # fmt: skip


COMMANDS: Final = dict(_pairs())
COMMANDS_OF_SHELL: Final = frozenset({"echo", "printf", "test", "[", "cd", "set", "true", "false"})
