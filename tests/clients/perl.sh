# SPDX-License-Identifier: MIT
# perl: hashes and strings that grow, regular expressions, sorting, files.
# packages: perl
# memory: 16M
# expects: evicted swap_out swap_in
prepare() {
	random_lines 3000000 >lines
}

load() {
	# shellcheck disable=SC2016
	run perl -e '
		open my $in, "<", $ARGV[0] or die;
		my (%lines, %count, $sum);
		while (<$in>) {
			my ($hash, $number, $words) = /^(\w+) (\d+) ?(\w*)$/ or next;
			$lines{$hash} = $number;
			$count{substr $hash, 0, 2}++;
			$sum += length($words) * ($number % 7);
		}
		printf "%d lines, %d prefixes, sum %d\n", scalar keys %lines, scalar keys %count, $sum;
		print "$_ $count{$_}\n" for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 9];
		my $all = join ",", map { $lines{$_} } sort keys %lines;
		$all =~ s/(\d)(\d)/$2$1/g;
		open my $out, ">", "joined" or die;
		print $out $all, "\n";
	' "$INPUT/lines"
	# shellcheck disable=SC2016
	run perl -MDigest::SHA=sha256_hex -MPOSIX -e '
		my @values = map { sha256_hex($_) } 1 .. 20000;
		print sha256_hex(join "", sort @values), " ", floor(3.7), "\n";
		local $SIG{ALRM} = sub { die "alarm\n" };
		eval { alarm 1; 1 while 1; };
		print $@;
		exit 5;
	'
}
