/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refuses text that libyaml shall not see: bytes that are not UTF-8 or are control characters, and
 * directives, which it gathers before its first event and compares each with all before it.
 *
 * A line that starts with % elsewhere can only be a quoted or plain text written over several
 * lines; that is refused as well. Line ends are those that libyaml counts.
 */
#include "config/yaml.h"

#include <stdbool.h>
#include <string.h>

#include "config/error.h"
#include "config/text.h"

static bool is_line_end(uint32_t code)
{
	return code == '\n' || code == '\r' || code == 0x85 || code == 0x2028 || code == 0x2029;
}

static bool is_control(uint32_t code)
{
	return (code < 0x20 && code != '\t' && !is_line_end(code)) ||
	       (code >= 0x7f && code < 0xa0 && !is_line_end(code));
}

int yaml_check_text(const char *text, size_t len, const struct error_place *start, const char *path,
	struct config_error *err)
{
	struct error_place place = *start;
	uint32_t previous = 0;
	size_t n;

	if (len >= 2 && (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
		return error_complain(err, &place, path, "is in UTF-16, not in UTF-8");
	for (size_t i = 0; i < len; i += n) {
		uint32_t code = 0;

		n = text_utf8(text + i, len - i, &code);
		if (n == 0)
			return error_complain(
				err, &place, path, "byte 0x%02x is not UTF-8", (uint8_t)text[i]);
		if (is_control(code))
			return error_complain(err, &place, path, "control character 0x%02x", code);
		if (code == '%' && place.column == 1)
			return error_complain(err, &place, path,
				"a line that starts with %% (a directive) is not supported");
		if (is_line_end(code)) {
			/* CR LF is one end; a place without lines stays without. */
			place.line += place.line && !(code == '\n' && previous == '\r');
			place.column = 1;
		} else if (code != 0xfeff || i > 0) { /* a byte order mark has no width */
			place.column++;
		}
		previous = code;
	}
	return 0;
}
