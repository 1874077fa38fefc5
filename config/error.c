/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the complaint about a configuration: place, key, what is wrong. */
#include "config/error.h"

#include <stdarg.h>
#include <string.h>

#include "config/text.h"

int error_complain(struct config_error *err, const struct error_place *place, const char *path,
	const char *format, ...)
{
	char what[sizeof(err->text)], all[sizeof(what) + sizeof(err->text)];
	char source[256], position[48] = "";
	va_list ap;

	va_start(ap, format);
	vsnprintf(what, sizeof(what), format, ap);
	va_end(ap);
	text_escape(source, sizeof(source), place->source, strlen(place->source));
	if (place->line)
		snprintf(position, sizeof(position), ":%zu:%zu", place->line, place->column);
	if (path && path[0])
		snprintf(all, sizeof(all), "%s%s: %s: %s", source, position, path, what);
	else
		snprintf(all, sizeof(all), "%s%s: %s", source, position, what);
	text_escape(err->text, sizeof(err->text), all, strlen(all));
	return CONFIG_E_INVALID;
}
