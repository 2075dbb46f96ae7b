package synth

// Chat templates in the Jinja subset that GGUF files carry. They write what the
// families' own templates write for plain conversations, without tools.
const (
	template3 = `{{ bos_token }}{% if not date_string is defined %}{% set date_string = "26 Jul 2024" %}{% endif %}` +
		`{% if messages[0]['role'] == 'system' %}{% set system_message = messages[0]['content'] | trim %}{% set messages = messages[1:] %}` +
		`{% else %}{% set system_message = "" %}{% endif %}` +
		`{{ "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: " + date_string + "\n\n" + system_message + "<|eot_id|>" }}` +
		`{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}`

	template4 = `{{ bos_token }}{% for message in messages %}` +
		`{{ '<|header_start|>' + message['role'] + '<|header_end|>\n\n' + message['content'] | trim + '<|eot|>' }}{% endfor %}` +
		`{% if add_generation_prompt %}{{ '<|header_start|>assistant<|header_end|>\n\n' }}{% endif %}`

	template2 = `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}` +
		`{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}` +
		`{% for message in loop_messages %}` +
		`{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + message['content'] %}` +
		`{% else %}{% set content = message['content'] %}{% endif %}` +
		`{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content | trim + ' [/INST]' }}` +
		`{% else %}{{ ' ' + content | trim + ' ' + eos_token }}{% endif %}{% endfor %}`

	templateMistral = `{{ bos_token }}{% for message in messages %}` +
		`{% if message['role'] == 'assistant' %}{{ message['content'] + eos_token }}` +
		`{% else %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% endif %}{% endfor %}`
)
