# SPDX-License-Identifier: MIT
# fio in threads: random reads and writes through a mapping, every block verified when it is read again. The headers of
# its blocks hold times, so that contents differ from run to run.
# packages: fio
# memory: 32M
# expects: evicted file_pages_written
# ignore: *
load() {
	run fio --name=random --thread --ioengine=mmap --rw=randrw --bs=4k --size=64m --verify=crc32c --verify_fatal=1 \
		--randseed=1 --norandommap=0 --directory=. --output-format=terse --output=random.out
	cut -d';' -f3,5,6,47 random.out
	run fio --name=many --thread --ioengine=mmap --rw=randwrite --bs=4k --nrfiles=100 --filesize=64k --size=6400k \
		--verify=crc32c --verify_fatal=1 --randseed=2 --directory=. --output-format=terse --output=many.out
	cut -d';' -f3,5,6,47 many.out
	rm -f random.out many.out
}
