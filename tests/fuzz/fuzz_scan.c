/*
 * mlverify scan: any bytes, and any archive, come to an answer; each name it
 * tells has a verdict, and a file that is refused says why.
 */
// seeds: tests/fixtures/torch/*.[bcp]*
// parts: tests/fixtures/torch/*.[bcp]*
// dict: pickle.dict torch.dict zip.dict
#include "kit.h"

#include <stdio.h>

#include "base/log.h"
#include "verify/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf file AUTO(buf_free) = BUF_INIT(1 << 24);
    struct scan s AUTO(scan_free) = SCAN_INIT;
    struct found found = { .kind = FOUND_FILE };
    const struct opt_list vouched = { .n = 0 };
    struct err e = ERR_INIT;

    log_set_level(LOG_ERROR);
    if (size > 0 && data[0] == 'Z') {
        kit_zip(data + 1, size - 1, &file);
        data = (const uint8_t *)file.p;
        size = file.len;
    }
    snprintf(found.path, sizeof(found.path), "%s", kit_path(0, data, size));
    must(scan_found(&s, &found, &vouched, &e) == 0);
    for (size_t i = 0; i < s.n; i++)
        must(s.names[i].name.len > 0 && s.names[i].verdict <= SCAN_UNSAFE &&
             (s.names[i].verdict != SCAN_UNSAFE || s.names[i].bad ||
                 s.names[i].use == SCAN_NAMED));
    must(s.report.bad == ERR_NONE);
    for (size_t i = 0; i < s.report.n; i++)
        must(s.report.checks[i].detail.len > 0);
    return 0;
}
