// Made of locale/zh_Hans/LC_MESSAGES/djangojs.po by make languages.
globalThis.texts = { form: (n) => Number(0), told: {
 "%(count)s answer is waiting to be sent": [
  "%(count)s 个答案等待发送"
 ],
 "%(count)s answer not accepted": [
  "%(count)s 个答案未被接受"
 ],
 "%(count)s answer of %(name)s: kept in this browser, sent when %(name)s logs in here": [
  "%(name)s 的 %(count)s 个答案：保存在此浏览器中，待 %(name)s 在此登录后发送"
 ],
 "%(length)s of %(most)s characters": "%(length)s / %(most)s 个字符",
 "%(words)s, response %(letter)s": "%(words)s，回答 %(letter)s",
 "%(words)s, response %(letter)s, marked as %(kind)s": "%(words)s，回答 %(letter)s，标记为%(kind)s",
 "An answer was not accepted: %(reason)s": "一个答案未被接受：%(reason)s",
 "Answer recorded.": "答案已记录。",
 "Cancel": "取消",
 "Copied": "已复制",
 "Dismiss this message": "关闭此消息",
 "Error %(status)s.": "错误 %(status)s。",
 "Fit": "适合",
 "Go on": "继续",
 "Mark removed: %(words)s": "已移除标记：%(words)s",
 "Marked as %(kind)s: %(words)s": "已标记为%(kind)s：%(words)s",
 "Marked: %(words)s.": "已标记：%(words)s。",
 "Selected: copy it": "已选中：请复制",
 "Skipped.": "已跳过。",
 "Somebody else is logged in in this browser. Log in again in another tab:": "此浏览器中登录的是其他人。请在另一标签页中重新登录：",
 "That click came too early and answered nothing.": "点击过早，没有作答。",
 "The earlier answer cannot be fetched just now.": "暂时无法取回先前的答案。",
 "The server answered with error %(status)s.": "服务器返回错误 %(status)s。",
 "The server answers again.": "服务器已恢复响应。",
 "The server cannot be reached.": "无法连接服务器。",
 "The server cannot be reached. Nothing on this page is lost: try again.": "无法连接服务器。此页面上的内容没有丢失：请重试。",
 "There is no earlier answer that can be changed.": "没有可以修改的先前答案。",
 "This browser has no room to keep answers: leave this tab open until they are sent": "此浏览器没有空间保存答案：请保持此标签页打开，直到发送完毕",
 "This image cannot be shown. Reload the page; if it stays so, skip the comparison with that reason.": "无法显示此图片。请刷新页面；如果仍然如此，请以此原因跳过这组对比。",
 "This no longer exists. Reload the page.": "它已不存在。请刷新页面。",
 "You are logged out. Log in again in another tab:": "您已退出登录。请在另一标签页中重新登录：",
 "You are logged out. Nothing on this page is lost: log in again in another tab, then do this once more.": "您已退出登录。此页面上的内容没有丢失：请在另一标签页中重新登录，然后再做一次。",
 "You may no longer answer in this project.": "您不能再在本项目中作答。",
 "You may not do that any more. Reload the page and log in again.": "您不能再这样做了。请刷新页面并重新登录。",
 "Your earlier answer. Choose again to change it.": "这是您之前的答案。重新选择即可修改。",
 "somebody else": "其他人"
} };
