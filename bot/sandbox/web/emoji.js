// Slack's names of emoji, as far as Errata and its people use them; an unknown one stays as it is written.

const EMOJI = {
  "+1": "👍", "-1": "👎", arrow_right: "➡️", arrows_counterclockwise: "🔄", balance_scale: "⚖️", bar_chart: "📊", bell: "🔔",
  black_square_button: "🔲", bulb: "💡", books: "📚", calendar: "📅", chart_with_downwards_trend: "📉",
  chart_with_upwards_trend: "📈", clock1: "🕐", closed_lock_with_key: "🔐", construction: "🚧", customs: "🛃", earth_africa: "🌍",
  email: "✉️", exclamation: "❗", eyes: "👀", gear: "⚙️", green_heart: "💚", hammer_and_wrench: "🛠️", hand: "✋", heart: "❤️",
  heavy_check_mark: "✔️", hourglass: "⌛", hourglass_flowing_sand: "⏳", inbox_tray: "📥", information_source: "ℹ️",
  large_blue_circle: "🔵", large_green_circle: "🟢", large_red_circle: "🔴", large_yellow_circle: "🟡",
  leftwards_arrow_with_hook: "↩️", link: "🔗", lock: "🔒", mag: "🔍", memo: "📝", moneybag: "💰", no_entry: "⛔",
  no_entry_sign: "🚫", octagonal_sign: "🛑", ok_hand: "👌", package: "📦", page_facing_up: "📄", pencil2: "✏️",
  point_right: "👉", pray: "🙏", pushpin: "📌", question: "❓", recycle: "♻️", robot_face: "🤖", rocket: "🚀",
  rotating_light: "🚨", scales: "⚖️", see_no_evil: "🙈", seedling: "🌱", shield: "🛡️", slightly_smiling_face: "🙂", smile: "😄",
  snowflake: "❄️", sparkles: "✨", speech_balloon: "💬", star: "⭐", stopwatch: "⏱️", tada: "🎉", thinking_face: "🤔",
  thumbsdown: "👎", thumbsup: "👍", triangular_flag_on_post: "🚩", twisted_rightwards_arrows: "🔀", warning: "⚠️",
  wastebasket: "🗑️", wave: "👋", white_check_mark: "✅", white_circle: "⚪", wrench: "🔧", x: "❌", zap: "⚡",
};

/** `white_check_mark` → ✅; `:name:` where it is not known. */
export const emoji = (name) => EMOJI[name.split("::")[0]] ?? `:${name}:`;
