# SPDX-License-Identifier: Apache-2.0
#
# For gdb (source t/brigade.gdb): `dump_brigade bb` lists the buckets of an apr_bucket_brigade *.
define dump_brigade
  set $end = (struct apr_bucket *)((char *)&($arg0)->list - (long)&((struct apr_bucket *)0)->link)
  set $bucket = ($arg0)->list.next
  while $bucket != $end
    printf "%s, %ld bytes\n", $bucket->type->name, (long)$bucket->length
    set $bucket = $bucket->link.next
  end
end
