/* doctor_json.c - owns the JSON of `heapspy doctor`. */
#include "analyzer/out/doctor.h"

#include "analyzer/out/json.h"

void doctor_json(const struct doctor_report *report, struct strbuf *out)
{
	struct json j = { .out = out };
	size_t i;

	json_object_begin(&j, NULL);
	json_text(&j, "schema", "heapspy.doctor/1");
	json_text(&j, "subject", report->subject);
	if (report->pid)
		json_unsigned(&j, "pid", report->pid);
	json_array_begin(&j, "checks");
	for (i = 0; i < report->n_checks; i++) {
		json_object_begin(&j, NULL);
		json_text(&j, "level", doctor_level_name(report->checks[i].level));
		json_text(&j, "name", report->checks[i].name);
		json_text(&j, "text", report->checks[i].text);
		json_object_end(&j);
	}
	json_array_end(&j);
	json_text(&j, "level", doctor_level_name(report->level));
	json_text(&j, "verdict", report->verdict.data);
	json_text(&j, "next", report->next.bytes ? report->next.data : NULL);
	json_object_end(&j);
}
