#!/bin/sh
# Makes a Debian package of a finished build, below that build's folder, and prints its name.
#   tools/deb.sh BUILD
set -eu

build=${1:?usage: tools/deb.sh BUILD}
source=$(cd "$(dirname "$0")/.." && pwd)
made=$build/deb
stage=$made/stage
version=$(sed -n 's/^CMAKE_PROJECT_VERSION:[^=]*=//p' "$build/CMakeCache.txt")
arch=$(dpkg --print-architecture)
umask 022
maintainer=${MAINTAINER:-Portcullis <root@localhost>}

# The same source makes the same package: no time in it is later than the last commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

rm -rf "$made"
mkdir -p "$stage/DEBIAN" "$stage/usr/share/doc/portcullis"
DESTDIR=$stage cmake --install "$build" --prefix /usr >/dev/null
strip --strip-unneeded --remove-section=.comment "$stage/usr/bin/portcullis"
gzip -9n "$stage"/usr/share/man/man1/*.1

# --- papers
doc=$stage/usr/share/doc/portcullis
cp "$source/README.md" "$doc/"
cp "$source"/docs/*.md "$doc/"
cp "$source/LICENSE" "$doc/copyright"
{
    echo "portcullis ($version) unstable; urgency=medium"
    echo
    echo "  * Made from ${COMMIT:-$(git -C "$source" rev-parse --short HEAD 2>/dev/null || echo a release)}."
    echo
    echo " -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"

# --- what dpkg wants to know
mkdir "$made/debian"
printf 'Source: portcullis\n\nPackage: portcullis\nArchitecture: any\n' >"$made/debian/control"
depends=$(cd "$made" && dpkg-shlibdeps -O "stage/usr/bin/portcullis" 2>/dev/null |
    sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "dpkg-shlibdeps found no libraries" >&2; exit 1; }
size=$(du -k -s --apparent-size "$stage" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" \
    -e "s/@MAINTAINER@/$maintainer/" -e "s/@DEPENDS@/$depends/" \
    "$source/packaging/deb/control.in" >"$stage/DEBIAN/control"
echo /etc/portcullis/portcullis.conf >"$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "$source/packaging/deb/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"

package=$made/portcullis_${version}_$arch.deb
find "$stage" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$stage" "$package" >/dev/null
echo "$package"
