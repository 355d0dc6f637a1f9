"""Links for the commands of busybox, which its package would make by running it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from imagist.build.derived.place import find_file, is_too_long, make_folders
from imagist.rootfs.content import Contents
from imagist.rootfs.entry import Entry, parent
from imagist.rootfs.tree import Node, Tree

BUSYBOX: Final = "bin/busybox"
PATHS_FOLDER: Final = "etc/busybox-paths.d"
_PLACES: Final = {
    "": "linuxrc",
    "bin": """arch ash base32 base64 bash bbconfig busybox cat chattr chgrp chmod chown conspy cp
        cpio cttyhack date dd df dmesg dnsdomainname dumpkmap echo ed egrep false fatattr fdflush
        fgrep fsync getopt grep gunzip gzip hostname hush ionice iostat ipcalc kbd_mode kill link
        linux32
        linux64 ln login ls lsattr lzop makemime minips mkdir mknod mktemp more mount mountpoint
        mpstat mt mv netstat nice nuke pidof ping ping6 pipe_progress printenv ps pwd reformime
        resume rev rm rmdir rpm run-parts scriptreplay sed setarch setpriv setserial sh sleep stat
        stty su sync tar touch true umount uname uncompress usleep vi watch zcat""",
    "sbin": """acpid adjtimex arp blkid blockdev bootchartd depmod devfsd devmem fbsplash fdisk
        findfs freeramdisk fsck fsck.minix fstrim getty halt hdparm hwclock ifconfig ifdown
        ifenslave ifup init inotifyd insmod ip ipaddr iplink ipneigh iproute iprule iptunnel klogd
        loadkmap logread losetup lsmod makedevs mdev mkdosfs mke2fs mkfs.ext2 mkfs.minix
        mkfs.reiser mkfs.vfat mkswap modinfo modprobe nameif pivot_root poweroff raidautorun reboot
        restorecon rmmod route run-init runlevel setconsole setfiles slattach start-stop-daemon
        sulogin swapoff swapon switch_root sysctl syslogd tc tunctl tune2fs udhcpc uevent vconfig
        watchdog zcip""",
    "usr/sbin": """add-shell addgroup adduser arping brctl chat chpasswd chroot crond delgroup
        deluser dhcprelay dnsd ether-wake fakeidentd fbset fdformat flash_eraseall flash_lock
        flash_unlock flashcp fsfreeze ftpd getenforce getsebool httpd i2cdetect i2cdump i2cget
        i2cset i2ctransfer ifplugd inetd killall5 load_policy loadfont lpd matchpathcon mim
        nanddump nandwrite nbd-client nologin ntpd partprobe popmaildir powertop rdate rdev
        readahead readprofile remove-shell rfkill rtcwake seedrng selinuxenabled sendmail sestatus
        setenforce setfont setlogcons setsebool svlogd telnetd tftpd ubiattach ubidetach ubimkvol
        ubirename ubirmvol ubirsvol ubiupdatevol udhcpd""",
}
"""Where applets live, as busybox is configured by default; all others live in usr/bin."""

_FOLDER_OF: Final = {name: folder for folder, names in _PLACES.items() for name in names.split()}
_NAME: Final = re.compile(rb"(?:\[\[?|[A-Za-z][A-Za-z0-9_.+-]*)")
_FEWEST: Final = 5
"""A run of fewer names than this is some other table."""


def link_busybox(tree: Tree, contents: Contents, *, epoch: int) -> list[str]:
    """Link every command of busybox to `/bin/busybox`; paths that exist are kept.

    The packages' lists in `etc/busybox-paths.d` decide, else the names in the binary itself. As
    with apko, links and the folders they are made in get the mtime of busybox; folders above
    them `epoch`.
    """
    busybox = find_file(tree, BUSYBOX)
    if busybox is None:
        return []
    warnings: list[str] = []
    links = _listed_paths(tree, contents, warnings)
    if not links:
        links = applet_paths(contents.read([busybox])[busybox.entry.path])
    if not links:
        nameless = "/bin/busybox names no commands that could be found in it; it gets no links"
        return [*warnings, nameless]
    mtime = busybox.entry.mtime
    for link in links:
        path = tree.resolve(link)
        if not path or path in tree:
            continue
        make_folders(tree, parent(path), mtime=epoch)
        folder = tree.get(parent(path))
        if folder is not None and folder.entry.mtime != mtime:
            dated = msgspec.structs.replace(folder.entry, mtime=mtime)
            tree.put(msgspec.structs.replace(folder, entry=dated))
        tree.put(Node(Entry(path, "symlink", 0o777, mtime=mtime, link=f"/{BUSYBOX}")))
    return warnings


def applet_paths(binary: bytes) -> list[str]:
    """Where the applets named in a busybox binary belong, such as `bin/ls`."""
    names = applet_names(binary)
    return [f"{_FOLDER_OF.get(name, 'usr/bin')}/{name}".lstrip("/") for name in names]


def applet_names(binary: bytes) -> list[str]:
    """The table of applet names in a busybox binary: NUL-separated, in byte order.

    The longest ascending run of such names around one that is certain to be there is the table;
    busybox searches it by bisection, so it is sorted.
    """
    best: list[bytes] = []
    for anchor in (b"\0cat\0", b"\0sh\0", b"\0ls\0", b"\0echo\0"):
        at = binary.find(anchor)
        while at >= 0:
            names = _run_around(binary, at + 1)
            best = max(best, names, key=len)
            at = binary.find(anchor, at + 1)
        if len(best) >= _FEWEST:
            break
    return [name.decode() for name in best] if len(best) >= _FEWEST else []


def _run_around(binary: bytes, at: int) -> list[bytes]:
    """The sorted run of names that the one starting at `at` belongs to."""
    names: list[bytes] = []
    start = at
    while (end := binary.find(b"\0", start, start + 64)) > start:
        name = binary[start:end]
        if not _NAME.fullmatch(name) or (names and name <= names[-1]):
            break
        names.append(name)
        start = end + 1
    end = at - 1
    while (start := binary.rfind(b"\0", max(0, end - 64), end) + 1) > 0:
        name = binary[start:end]
        if not _NAME.fullmatch(name) or (names and name >= names[0]):
            break
        names.insert(0, name)
        end = start - 1
    return names


def _listed_paths(tree: Tree, contents: Contents, warnings: list[str]) -> list[str]:
    """The paths in the packages' lists; names that are not UTF-8 keep their bytes."""
    folder = tree.resolve(PATHS_FOLDER, follow_last=True)
    lists = [node for node in tree.below(folder) if node.entry.kind == "file"]
    texts = contents.read(lists)
    links: list[str] = []
    for node in lists:
        text = texts[node.entry.path].decode("utf-8", "surrogateescape")
        paths = [path for line in text.split("\n") if (path := line.strip().strip("/"))]
        good = [path for path in paths if "\0" not in path and not is_too_long(path)]
        if len(good) < len(paths):
            count = len(paths) - len(good)
            warnings.append(f"/{node.entry.path} lists {count} paths that cannot be; left out")
        links += good
    return links
